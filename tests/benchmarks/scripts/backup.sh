# See tests/bench. Backup of a running process with many people, and restore: time, size, memory.
people=${1:-1000000}
profile=${PROFILE:-dist}
[[ $profile = debug ]] || cargo build --profile dist -q -p yima --bin yima
. tests/benchmarks/scripts/common.sh
yima=${bin%dist}$profile/yima

dir=$(mktemp -d -p "${BENCH_DIR:-/var/tmp}")
trap 'kill $pid 2>/dev/null; wait; rm -rf "$dir"' EXIT
port=$(free_port) write_port=$(free_port) admin_port=$(free_port)
export YIMA_LIFECYCLE__DRAIN_WAIT_MS=0
YIMA_READ_API__BIND=127.0.0.1:$port YIMA_WRITER__BIND=127.0.0.1:$write_port YIMA_ADMIN__LISTEN=127.0.0.1:$admin_port \
    "$yima" --data-dir "$dir/data" --population "$people" >/dev/null 2>>"$dir/log" & pid=$!
wait_until_ready
resident() { awk '/^VmRSS/ {printf "%d MB", $2 / 1024}' /proc/$pid/status; }
peak() { awk '/^VmHWM/ {printf "%d MB", $2 / 1024}' /proc/$pid/status; }
# measured ARGUMENT…: runs yima and prints its seconds and peak memory.
measured() { /usr/bin/time -f '%e s, at most %M kB resident' "$yima" "$@" 2>&1 >/dev/null | tail -1; }
head -c 32 /dev/urandom | base64 >"$dir/passphrase"
before=$(resident)
# Resets the peak.
echo 5 >/proc/$pid/clear_refs
backup=$(measured --data-dir "$dir/data" backup --passphrase-file "$dir/passphrase" "$dir/backup")
echo "backup: $backup; the running process: $before before, at most $(peak)"
size=$(stat -c %s "$dir/backup" | awk '{printf "%d MB", $1 / 1e6}')
echo "size: $size; $(du -sm "$dir/data/store" | cut -f1) MB in the data directory"
kill $pid; wait $pid || true
echo "restore: $(measured --data-dir "$dir/restored" restore --passphrase-file "$dir/passphrase" "$dir/backup")"
