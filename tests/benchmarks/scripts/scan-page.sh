# See tests/bench. First the reader alone, on pictures made from a seed; then the page in Chromium, filming 50 people before a real yima.
cargo build -q --workspace --bins --tests # and with it the page's packages; the server's speed is not what is measured
npm --prefix web/pages run --silent measure
exec cargo test -q -p yima-end-to-end --test end-to-end -- --ignored --nocapture browser::camera::from_frame_to_verdict
