//! What is generated from the rows, compared with what is in the repository. `RWSGI_BLESS=1` rewrites it.

use std::path::Path;
use std::process::Command;

use rwsgi::config::*;

fn compare(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    if std::env::var_os("RWSGI_BLESS").is_some() {
        std::fs::write(&path, text).unwrap();
    }
    let there = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(there == text, "{name} is not what the rows say; RWSGI_BLESS=1 cargo test rewrites it");
}

#[test]
fn the_page_of_options() {
    compare("docs/options.md", &options_md());
}

#[test]
fn the_man_page_is_one() {
    let page = man();
    for row in registry::all().iter().filter(|r| matches!(r.status, Status::Works | Status::Accepted(_))) {
        assert!(page.contains(&format!("\\-\\-{}\\fR", row.name.replace('-', "\\-"))), "{}", row.name);
    }
    assert!(page.lines().all(|line| !line.starts_with('\'')), "a line is a command by mistake");
}

#[test]
fn completions_are_scripts() {
    for (shell, program) in [(Shell::Bash, "bash"), (Shell::Zsh, "zsh"), (Shell::Fish, "fish")] {
        let script = completion(shell);
        for name in ["harakiri", "max-requests", "http-socket"] {
            assert!(script.contains(name), "{program}: {name}");
        }
        // Where the shell is installed, it says whether it can read the script.
        if let Ok(output) = Command::new(program).args(["-n", "-c", &script]).output() {
            assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
        }
    }
    let script = completion(Shell::Bash)
        + "COMP_WORDS=(rwsgi --harakiri-v); COMP_CWORD=1; _rwsgi; echo \"${COMPREPLY[@]}\"";
    if let Ok(output) = Command::new("bash").args(["-c", &script]).output() {
        assert_eq!(String::from_utf8_lossy(&output.stdout), "--harakiri-verbose\n");
    }
}
