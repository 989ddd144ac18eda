# Shared by the scripts: the directory of the binaries, free ports, and readiness.
bin=$(cargo metadata --format-version 1 --no-deps | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')/dist
free_port() {
    local port
    while :; do
        port=$((RANDOM % 12000 + 20000)) # below those that the system gives clients
        (: </dev/tcp/127.0.0.1/$port) 2>/dev/null || { echo $port; return; }
    done
}
# Waits until the process $pid is ready on $admin_port; prints $dir/log if it ends before.
wait_until_ready() {
    until curl -sf "http://127.0.0.1:$admin_port/health/ready" >/dev/null; do
        kill -0 "$pid" || { cat "$dir/log"; exit 1; }
        sleep 0.1
    done
}
