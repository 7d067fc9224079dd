//! `-t`: the container's terminal is the user's, and the user's is restored whatever happens.

use nix::sys::signal;
use nix::sys::termios::{LocalFlags, Termios};

use crate::host::{ALPINE, FakeHost};

fn is_raw(modes: &Termios) -> bool {
    !modes
        .local_flags
        .intersects(LocalFlags::ICANON | LocalFlags::ECHO)
}

#[test]
fn a_shell_on_a_terminal() {
    let host = FakeHost::new();
    let mut shell = host
        .netrun_cmd(&["run", "--rm", "-it", ALPINE, "sh"])
        .terminal();
    let before = shell.modes();
    shell.send("test -t 0 && test -t 1 && echo is-a-$((1 + 1))-terminal\r");
    shell.expect("is-a-2-terminal");
    assert!(is_raw(&shell.modes()));
    shell.send("stty size\r");
    shell.expect("24 80");
    shell.resize(123, 45);
    shell.send("sleep 0.3; stty size\r");
    shell.expect("45 123");
    shell.send("echo $TERM\r");
    shell.expect("xterm");
    // Ctrl-C is the container's.
    shell.send("sleep 1000\r");
    std::thread::sleep(std::time::Duration::from_millis(300));
    shell.send("\x03");
    shell.send("echo still-$((20 + 2))\r");
    shell.expect("still-22");
    shell.send("exit 7\r");
    assert_eq!(shell.wait().code, 7);
    assert_eq!(shell.modes(), before);
    host.assert_clean();
}

#[test]
fn exec_and_attach_on_a_terminal() {
    let host = FakeHost::new();
    host.netrun(&["run", "-dit", "--name", "t", ALPINE, "sh"])
        .ok();
    let mut exec = host.netrun_cmd(&["exec", "-it", "t", "sh"]).terminal();
    let before = exec.modes();
    exec.send("stty size; exit 5\r");
    let ended = exec.wait();
    assert_eq!(ended.code, 5);
    assert!(ended.stdout.contains("24 80"), "{ended}");
    assert_eq!(exec.modes(), before);
    let mut attached = host.netrun_cmd(&["attach", "t"]).terminal();
    let before = attached.modes();
    attached.send("echo here-$((3 + 4))\r");
    attached.expect("here-7");
    // The detach keys leave the container running.
    attached.send("\x10\x11");
    attached.wait().ok();
    assert_eq!(attached.modes(), before);
    let state = host
        .netrun(&["inspect", "--format", "{{.State.Running}}", "t"])
        .ok();
    assert_eq!(state.text(), "true");
    host.netrun(&["rm", "-f", "t"]).ok();
}

#[test]
fn the_terminal_is_restored_whatever_ends_the_run() {
    let host = FakeHost::new();
    for signal in [signal::SIGTERM, signal::SIGHUP, signal::SIGQUIT] {
        let args = [
            "run",
            "--rm",
            "-it",
            "--stop-timeout",
            "1",
            ALPINE,
            "sh",
            "-c",
            "trap 'exit 1' TERM HUP QUIT; echo up; while :; do sleep 0.05; done",
        ];
        let mut run = host.netrun_cmd(&args).terminal();
        let before = run.modes();
        run.expect("up");
        assert!(is_raw(&run.modes()));
        run.signal(signal);
        assert_ne!(run.wait().code, 0);
        assert_eq!(run.modes(), before, "{signal}");
    }
    let mut run = host
        .netrun_cmd(&["run", "--rm", "-it", ALPINE, "no-such-command"])
        .terminal();
    let before = run.modes();
    assert_eq!(run.wait().code, 127);
    assert_eq!(run.modes(), before);
}

#[test]
fn interrupts_without_a_terminal_of_its_own() {
    let host = FakeHost::new();
    let line = "trap 'echo int; exit 9' INT; echo up; while :; do sleep 0.05; done";
    let mut run = host
        .netrun_cmd(&["run", "--rm", ALPINE, "sh", "-c", line])
        .terminal();
    run.expect("up");
    assert!(!is_raw(&run.modes()));
    run.send("\x03");
    assert_eq!(run.wait().code, 9);
}

#[test]
fn a_second_ctrl_c_kills_what_has_a_terminal_but_no_input() {
    let host = FakeHost::new();
    let line = "trap 'echo int' INT; echo up; while :; do sleep 0.05; done";
    let mut run = host
        .netrun_cmd(&["run", "--rm", "-t", ALPINE, "sh", "-c", line])
        .terminal();
    run.expect("up");
    assert!(!is_raw(&run.modes()), "ctrl-c is a signal here");
    run.send("\x03");
    run.expect("int");
    run.send("\x03");
    assert_eq!(run.wait().code, 137);
}

#[test]
fn a_second_interrupt_that_is_sent_kills_what_has_a_terminal() {
    let host = FakeHost::new();
    let line = "trap 'echo int' INT; echo up; while :; do sleep 0.05; done";
    let mut run = host
        .netrun_cmd(&["run", "--rm", "-it", ALPINE, "sh", "-c", line])
        .terminal();
    let before = run.modes();
    run.expect("up");
    run.signal(signal::SIGINT);
    run.expect("int");
    run.signal(signal::SIGINT);
    assert_eq!(run.wait().code, 137);
    assert_eq!(run.modes(), before);
    host.assert_clean();
}

/// A process that asks at once must not see a terminal of no size.
#[test]
fn a_terminal_has_its_size_from_the_beginning() {
    let host = FakeHost::new();
    let ask = |args: &[&str]| {
        let mut asked = host.netrun_cmd(args).terminal();
        asked.expect("24 80");
        asked.wait().ok();
    };
    for _ in 0..3 {
        ask(&["run", "--rm", "-it", ALPINE, "stty", "size"]);
    }
    ask(&[
        "run", "--rm", "-t", ALPINE, "stty", "size", "-F", "/dev/tty",
    ]);
    host.netrun(&["run", "-d", "--name", "t", ALPINE, "sleep", "1000"])
        .ok();
    for _ in 0..3 {
        ask(&["exec", "-it", "t", "stty", "size"]);
    }
    host.netrun(&["rm", "-f", "t"]).ok();
    host.assert_clean();
}

#[test]
fn a_terminal_needs_a_terminal() {
    let host = FakeHost::new();
    for options in [&["-t"][..], &["-i", "-t"], &["-it", "--rm"]] {
        let args = [&["run"], options, &[ALPINE, "true"]].concat();
        host.netrun(&args).fails(125, &["terminal"]);
    }
    host.netrun(&["run", "-d", "--name", "t", ALPINE, "sleep", "1000"])
        .ok();
    for options in ["-t", "-it"] {
        host.netrun(&["exec", options, "t", "true"])
            .fails(125, &["terminal"]);
    }
    host.netrun(&["rm", "-f", "t"]).ok();
    host.assert_clean();
}

/// With docker's name `-t` alone needs none: CI jobs, which have none, get colours by it.
#[test]
fn a_terminal_for_output_alone_needs_none_here() {
    let host = FakeHost::new();
    let line = "test -t 1 && echo colours; test -t 2 && echo errors >&2; exit 3";
    host.sh("ln -s $(command -v netrun) /tmp/docker").ok();
    host.announce("symlink /tmp/docker");
    let docker = |args: &[&str]| host.cmd("/tmp/docker").args(args).stdin("unread\n").run();
    let run = docker(&["run", "--rm", "-t", ALPINE, "sh", "-c", line]).code(3);
    assert_eq!(run.stdout, "colours\r\nerrors\r\n", "{run}");
    let run = ["run", "-d", "-t", "--name", "t", ALPINE, "sleep", "1000"];
    host.netrun(&run).ok();
    let exec = docker(&["exec", "-t", "t", "sh", "-c", line]).code(3);
    assert_eq!(exec.stdout, "colours\r\nerrors\r\n", "{exec}");
    host.netrun(&["rm", "-f", "t"]).ok();
    host.assert_clean();
}
