//! Sessions with a supervisor that a test plays.

use jiff::Timestamp;
use nix::sys::signal::{Signal as Raised, raise};
use tokio::net::UnixListener;

use super::*;
use crate::cli::signals::RAISING;
use crate::engine::paths::{Paths, SOCKET};
use crate::engine::protocol::MAX_LINE;
use crate::engine::session::{PipeEnds, Pipes};
use crate::sys::channel::{Channel, accept, listen};

const OWNER: Role = Role::Owner { timings: false };

fn exited(status: u32) -> Event {
    let exit = Exit::new(status, Timestamp::UNIX_EPOCH);
    Event::Exited {
        exit,
        steps: Vec::new(),
    }
}

/// Pipes whose other ends the caller gets.
fn pipes() -> (Pipes, io::PipeWriter, io::PipeWriter) {
    let (stdout, out) = io::pipe().unwrap();
    let (stderr, err) = io::pipe().unwrap();
    let stderr = Some(stderr.into());
    (
        Pipes {
            stdout: stdout.into(),
            stderr,
        },
        out,
        err,
    )
}

fn attached(session: Session, pipes: Pipes) -> Attached {
    Attached {
        session,
        pipes,
        stdin: None,
        terminal: false,
        steps: Vec::new(),
        heir: None,
        wishes: Default::default(),
    }
}

/// A socket on which a supervisor is played, and a session with it.
async fn connect(name: &str) -> (Session, Channel) {
    let id = "played".parse().unwrap();
    let mut paths = Paths::new(&"default".parse().unwrap(), &id);
    let unique = format!("netrun-session-{name}-{}", std::process::id());
    paths.run = std::env::temp_dir().join(unique);
    std::fs::create_dir(&paths.run).unwrap();
    let listener: UnixListener = listen(&paths.run, SOCKET).unwrap();
    let ends = PipeEnds::default();
    let session = Session::open(&id, &paths, &Request::Attach { owns: false }, ends).await;
    let mut supervisor = accept(&listener, MAX_LINE).await.unwrap();
    std::fs::remove_dir_all(&paths.run).unwrap();
    let (request, _) = supervisor.receive::<Request>().await.unwrap().unwrap();
    assert_eq!(request, Request::Attach { owns: false });
    (session.unwrap().unwrap(), supervisor)
}

async fn asked(supervisor: &mut Channel) -> Request {
    supervisor.receive::<Request>().await.unwrap().unwrap().0
}

#[tokio::test(flavor = "current_thread")]
async fn the_second_interrupt_kills_and_the_status_comes_back() {
    let _alone = RAISING.lock().await;
    let (session, mut supervisor) = connect("interrupt").await;
    let (pipes, out, err) = pipes();
    let played = async {
        for (raised, expected) in [
            (Raised::SIGUSR1, 10),
            (Raised::SIGINT, 2),
            (Raised::SIGTERM, 15),
            (Raised::SIGINT, 9),
        ] {
            raise(raised).unwrap();
            let number = expected;
            assert_eq!(asked(&mut supervisor).await, Request::Signal { number });
        }
        supervisor.send(&exited(137), &[]).await.unwrap();
        drop((out, err));
    };
    // Signals are caught first: what is polled first has begun before the other raises one.
    let (end, ()) = futures_util::join!(
        drive(attached(session, pipes), OWNER, Signals::catch().unwrap()),
        played
    );
    assert_eq!(end.unwrap(), 137);
}

#[tokio::test(flavor = "current_thread")]
async fn a_supervisor_that_dies_is_an_error_after_the_last_output() {
    let _alone = RAISING.lock().await;
    let (session, supervisor) = connect("dead").await;
    let (pipes, out, err) = pipes();
    let played = async {
        drop((supervisor, out, err));
    };
    let (end, ()) = futures_util::join!(
        drive(attached(session, pipes), OWNER, Signals::catch().unwrap()),
        played
    );
    assert_eq!(end.unwrap_err().class(), Class::Unavailable);
}

#[tokio::test(flavor = "current_thread")]
async fn an_owner_kills_what_nobody_reads_and_others_only_leave() {
    let _alone = RAISING.lock().await;
    let broken = |stream| News::Unwritable(stream, io::ErrorKind::BrokenPipe.into());
    for (role, stream, name) in [
        (OWNER, "stdout", "owner"),
        (OWNER, "stderr", "owner-stderr"),
        (Role::Client, "stdout", "client"),
        (Role::Client, "stderr", "client-stderr"),
    ] {
        let owner = role == OWNER;
        let (session, mut supervisor) = connect(name).await;
        let (sender, news) = unbounded_channel();
        let mut driver = Driver {
            wanted: (true, true),
            proxy: true,
            session,
            heir: None,
            sender,
            role,
            terminal: false,
            news,
            streams: 2,
            writing: Vec::new(),
            interrupts: 0,
            failure: None,
        };
        assert_eq!(driver.obey(broken(stream)).await, !owner);
        assert!(driver.failure.is_none());
        driver.session.ask(&Request::CloseStdin).await.unwrap();
        let first = asked(&mut supervisor).await;
        let expected = match owner {
            true => Request::Signal { number: 9 },
            false => Request::CloseStdin,
        };
        assert_eq!(first, expected);
    }
}
