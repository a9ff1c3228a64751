//! The playbooks and scripts in `steps/` become part of the binary. The compiler itself notices changed files, but not new ones.

fn main() {
    println!("cargo:rerun-if-changed=steps");
}
