# See tests/bench. First the reader alone, on pictures made from a seed; then the page in Chromium, filming 50 people
# before a real yima. A debug build, which also installs the page's packages: the server's speed is not measured.
cargo build --quiet --workspace --tests --bin yima
npm --prefix web/pages run --silent measure
exec cargo test --quiet --workspace --test end-to-end -- --ignored --nocapture browser::camera
