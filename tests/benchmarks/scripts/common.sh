# What the scripts share: where the binaries are, and free ports.
bin=$(cargo metadata --format-version 1 --no-deps | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')/release
free_port() { while :; do p=$((RANDOM % 20000 + 20000)); (: </dev/tcp/127.0.0.1/$p) 2>/dev/null || { echo $p; return; }; done; }
