//! An attached session: our standard streams, signals and window on one side, a supervisor on the
//! other.
//!
//! Invariant: the terminal is as it was when the session is over; output that was read is written;
//! nothing waits in the event loop, so that signals always get through (streams are copied by
//! threads of their own).

use std::fs::OpenOptions;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::thread;

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::detach::DetachKeys;
use super::signals::Signals;
use crate::engine;
use crate::engine::protocol::{Event, Request};
use crate::engine::session::{Pipes, Session};
use crate::engine::steps::Taken;
use crate::model::class::{Class, Explain};
use crate::model::record::Exit;
use crate::model::signal::Signal;
use crate::sys::copy;
use crate::sys::terminal::{self, RawMode};

/// SIGWINCH, which is no signal for the process but news of our window.
const WINCH: i32 = nix::libc::SIGWINCH;

/// How netrun is attached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attachment {
    /// The process is ours: it ends when nobody reads its output any more, and a second ctrl-c kills
    /// it (`run`, `exec`). Otherwise we only look on (`attach`, `start -a`).
    pub owner: bool,
    /// The process has a terminal.
    pub terminal: bool,
    /// Our standard input goes to the process, if it takes any.
    pub stdin: bool,
}

/// How a session ended.
#[derive(Debug)]
pub enum End {
    /// The process ended; the steps are those of the supervisor's whole life.
    Exited(Exit, Vec<Taken>),
    /// We left and the process goes on: by the detach keys, or because nobody reads what we write.
    Detached,
    /// A signal ended the session before the process ran; the supervisor takes down what there is.
    Interrupted(Signal),
}

/// What is wrong with our side of a session.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// The container's side.
    #[error(transparent)]
    Engine(#[from] engine::error::Error),
    /// A terminal was asked for, and there is none here.
    #[error("a terminal for the container (-t) needs one on standard input, which is none")]
    NoTerminal,
    /// Our own terminal or event loop refuses.
    #[error("cannot {action}")]
    Prepare {
        /// What was to be done.
        action: &'static str,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The output cannot be written, for another reason than a reader who has seen enough.
    #[error("cannot write the container's output to {stream}")]
    Output {
        /// `stdout` or `stderr`.
        stream: &'static str,
        /// Why not.
        #[source]
        source: io::Error,
    },
}

impl Explain for SessionError {
    fn class(&self) -> Class {
        match self {
            Self::Engine(error) => error.class(),
            Self::NoTerminal => Class::InvalidInput,
            Self::Prepare { .. } | Self::Output { .. } => Class::Failed,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Engine(error) => error.hint(),
            Self::NoTerminal => Some("leave -t out, or start it detached with -d".to_owned()),
            Self::Prepare { .. } | Self::Output { .. } => None,
        }
    }
}

/// Refuses `-t` where there is no terminal. To be asked before anything is made.
///
/// # Errors
/// [`SessionError::NoTerminal`].
pub fn check_terminal(wanted: bool) -> Result<(), SessionError> {
    match wanted && !terminal::stdin_is_terminal() {
        true => Err(SessionError::NoTerminal),
        false => Ok(()),
    }
}

/// What the threads that copy have to say.
#[derive(Debug)]
enum News {
    /// All of a stream has been written.
    Written,
    /// A stream cannot be written any more.
    Unwritable(&'static str, io::Error),
    /// Our standard input has ended.
    StdinEnded,
    /// The detach keys were typed.
    Detach,
}

/// Copies, passes on signals and sizes, and waits: from the moment that the supervisor was asked
/// until the process has ended or we have left.
///
/// # Errors
/// What the supervisor met, or our own streams.
pub async fn drive(
    session: Session,
    pipes: Pipes,
    attachment: Attachment,
) -> Result<End, SessionError> {
    let mut signals = Signals::catch().map_err(prepare("catch signals"))?;
    let mut session = session;
    let (early, stdin) = match begin(&mut session, &mut signals).await? {
        Begun::Running { early, stdin } => (early, stdin),
        Begun::Interrupted(signal) => return Ok(End::Interrupted(signal)),
    };
    let (sender, news) = unbounded_channel();
    let streams = write_outputs(pipes, &sender)?;
    let keys = attachment.terminal && attachment.stdin && terminal::stdin_is_terminal();
    let raw = match keys {
        true => Some(RawMode::enter().map_err(prepare("set the terminal"))?),
        false => None,
    };
    if let Some(path) = stdin.filter(|_| attachment.stdin) {
        read_input(&path, keys, &sender)?;
    }
    let mut driver = Driver {
        session,
        attachment,
        news,
        streams,
        interrupts: 0,
        failure: None,
    };
    driver.resize().await;
    for number in early {
        driver.signal(number).await;
    }
    let end = driver.run(&mut signals).await;
    // What was written before the end is still on its way, whoever brought the end about.
    driver.drain(&mut signals).await;
    drop(raw);
    match driver.failure {
        Some(error) => Err(error),
        None => end,
    }
}

fn prepare(action: &'static str) -> impl FnOnce(io::Error) -> SessionError {
    move |source| SessionError::Prepare { action, source }
}

/// How a session began.
enum Begun {
    /// The process runs. These signals came before.
    Running {
        early: Vec<i32>,
        stdin: Option<PathBuf>,
    },
    /// It does not, and shall not.
    Interrupted(Signal),
}

/// Waits until the process runs. A first signal waits with us; a second ctrl-c, or the like, ends
/// the session.
async fn begin(session: &mut Session, signals: &mut Signals) -> Result<Begun, SessionError> {
    let mut early = Vec::new();
    let mut impatient = 0;
    loop {
        let number = tokio::select! {
            started = session.started() => {
                let (stdin, _) = started?;
                return Ok(Begun::Running { early, stdin });
            }
            number = signals.next() => number,
        };
        let asks_to_end = [Signal::INT, Signal::TERM, Signal::HUP];
        let signal = asks_to_end
            .into_iter()
            .find(|signal| signal.number() == number);
        impatient += usize::from(signal.is_some());
        match signal {
            Some(signal) if impatient > 1 => return Ok(Begun::Interrupted(signal)),
            _ => early.push(number),
        }
    }
}

/// Starts the threads that write output; says how many.
fn write_outputs(pipes: Pipes, sender: &UnboundedSender<News>) -> Result<usize, SessionError> {
    let stdout = move || copy::copy_all(pipes.stdout, io::stdout());
    copier("stdout", stdout, sender.clone())?;
    let Some(stderr) = pipes.stderr else {
        return Ok(1);
    };
    copier(
        "stderr",
        move || copy::copy_all(stderr, io::stderr()),
        sender.clone(),
    )?;
    Ok(2)
}

fn copier(
    stream: &'static str,
    copy: impl FnOnce() -> io::Result<()> + Send + 'static,
    sender: UnboundedSender<News>,
) -> Result<(), SessionError> {
    let work = move || {
        let news = match copy() {
            Ok(()) => News::Written,
            Err(error) => News::Unwritable(stream, error),
        };
        // Nobody listens any more once the session is over.
        sender.send(news).ok();
    };
    let spawned = thread::Builder::new().name(stream.to_owned()).spawn(work);
    spawned.map(drop).map_err(prepare("start a thread"))
}

/// Starts the thread that copies our standard input to the FIFO at `path`.
fn read_input(path: &Path, keys: bool, sender: &UnboundedSender<News>) -> Result<(), SessionError> {
    let fifo = match open_fifo(path) {
        Ok(fifo) => fifo,
        // The process has ended in the meantime; its status is on its way.
        Err(error) if error.raw_os_error() == Some(nix::libc::ENXIO) => return Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(prepare("open the container's standard input")(error)),
    };
    let sender = sender.clone();
    let work = move || {
        let detached = match keys {
            true => copy_keys(&fifo),
            // A side that fails has ended.
            false => copy::copy_all(io::stdin(), &fifo).map(|()| false),
        };
        let news = match detached {
            Ok(true) => News::Detach,
            Ok(false) | Err(_) => News::StdinEnded,
        };
        // The FIFO is closed first: containerd must be the last to hold it.
        drop(fifo);
        sender.send(news).ok();
    };
    let spawned = thread::Builder::new().name("stdin".to_owned()).spawn(work);
    spawned.map(drop).map_err(prepare("start a thread"))
}

/// Opens a FIFO for writing without waiting for a reader; writing to it waits for room.
fn open_fifo(path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlag::O_NONBLOCK.bits();
    let fifo = OpenOptions::new()
        .write(true)
        .custom_flags(flags)
        .open(path)?;
    fcntl(&fifo, FcntlArg::F_SETFL(OFlag::empty()))?;
    Ok(fifo.into())
}

/// Copies what is typed; true if it was the detach keys that ended it.
fn copy_keys(fifo: &OwnedFd) -> io::Result<bool> {
    use std::os::fd::AsFd;
    let stdin = io::stdin();
    let mut keys = DetachKeys::default();
    let mut typed = [0; 4096];
    let mut passed_on = Vec::new();
    loop {
        let count = copy::read(stdin.as_fd(), &mut typed)?;
        if count == 0 {
            return Ok(false);
        }
        let detached = keys.take(&typed[..count], &mut passed_on);
        copy::write_all(fifo.as_fd(), &passed_on)?;
        passed_on.clear();
        if detached {
            return Ok(true);
        }
    }
}

/// The session while the process runs.
struct Driver {
    session: Session,
    attachment: Attachment,
    news: UnboundedReceiver<News>,
    /// How many streams are still being written.
    streams: usize,
    /// How often ctrl-c was pressed.
    interrupts: usize,
    /// What is wrong with our streams.
    failure: Option<SessionError>,
}

impl Driver {
    async fn run(&mut self, signals: &mut Signals) -> Result<End, SessionError> {
        loop {
            let news = tokio::select! {
                biased;
                number = signals.next() => {
                    self.signal(number).await;
                    continue;
                }
                // `news` never ends before `self` does: a sender may still be in a thread.
                Some(news) = self.news.recv() => news,
                event = self.session.event() => match event? {
                    Event::Exited { exit, steps } => return Ok(End::Exited(exit, steps)),
                    Event::Failed(report) => return Err(engine::error::Error::from(report).into()),
                    Event::Started { .. } | Event::Removed => continue,
                },
            };
            if self.obey(news).await {
                // A supervisor that has gone cannot be told, and need not.
                self.session.ask(&Request::Detach).await.ok();
                // The threads are left to themselves: what comes from now on is not for us.
                self.streams = 0;
                return Ok(End::Detached);
            }
        }
    }

    /// Acts on what a thread says; true if we shall leave.
    async fn obey(&mut self, news: News) -> bool {
        match news {
            News::Written => self.streams -= 1,
            News::StdinEnded => {
                self.session.ask(&Request::CloseStdin).await.ok();
            }
            News::Detach => return true,
            News::Unwritable(stream, source) => {
                let unwanted = self.give_up(stream, source);
                if !self.attachment.owner {
                    return !unwanted;
                }
                if !unwanted {
                    self.pass_on(Signal::KILL.number()).await;
                }
            }
        }
        false
    }

    /// Notes that a stream cannot be written any more. True if that is nothing to end for: whoever
    /// closed stderr did not want to see it.
    fn give_up(&mut self, stream: &'static str, source: io::Error) -> bool {
        self.streams -= 1;
        let closed = source.kind() == io::ErrorKind::BrokenPipe;
        if !closed {
            self.failure = Some(SessionError::Output { stream, source });
        }
        closed && stream == "stderr"
    }

    /// Waits until all output is written. A reader who does not read holds us up, until ctrl-c.
    async fn drain(&mut self, signals: &mut Signals) {
        while self.streams > 0 {
            tokio::select! {
                Some(news) = self.news.recv() => match news {
                    News::Written => self.streams -= 1,
                    News::Unwritable(stream, source) => drop(self.give_up(stream, source)),
                    News::StdinEnded | News::Detach => {}
                },
                number = signals.next() => {
                    if [Signal::INT, Signal::TERM, Signal::HUP].map(Signal::number).contains(&number) {
                        return;
                    }
                }
            }
        }
    }

    async fn signal(&mut self, number: i32) {
        if number == WINCH {
            return self.resize().await;
        }
        self.interrupts += usize::from(number == Signal::INT.number());
        // With a terminal ctrl-c is a key; an interrupt that comes nonetheless was sent.
        let kills = self.attachment.owner && !self.attachment.terminal && self.interrupts > 1;
        match kills && number == Signal::INT.number() {
            true => self.pass_on(Signal::KILL.number()).await,
            false => self.pass_on(number).await,
        }
    }

    async fn pass_on(&self, number: i32) {
        // A supervisor that is gone will be noticed where its events are awaited.
        self.session.ask(&Request::Signal { number }).await.ok();
    }

    async fn resize(&self) {
        if let (true, Some((width, height))) = (self.attachment.terminal, terminal::size()) {
            self.session
                .ask(&Request::Resize { width, height })
                .await
                .ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use nix::sys::signal::{Signal as Raised, raise};
    use tokio::net::UnixListener;

    use super::*;
    use crate::cli::signals::RAISING;
    use crate::engine::paths::{Paths, SOCKET};
    use crate::engine::protocol::MAX_LINE;
    use crate::engine::session::PipeEnds;
    use crate::sys::channel::{Channel, accept, listen};

    const ATTACHMENT: Attachment = Attachment {
        owner: true,
        terminal: false,
        stdin: false,
    };

    fn exited(status: u32) -> Event {
        let exit = Exit {
            status,
            at: Timestamp::UNIX_EPOCH,
            reason: None,
        };
        Event::Exited {
            exit,
            steps: Vec::new(),
        }
    }

    fn started() -> Event {
        Event::Started {
            steps: Vec::new(),
            stdin: None,
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

    /// A socket on which a supervisor is played, and a session with it.
    async fn connect(name: &str) -> (Session, Channel) {
        let id = "played".parse().unwrap();
        let mut paths = Paths::new(&"default".parse().unwrap(), &id);
        let unique = format!("netrun-session-{name}-{}", std::process::id());
        paths.run = std::env::temp_dir().join(unique);
        std::fs::create_dir(&paths.run).unwrap();
        let listener: UnixListener = listen(&paths.run, SOCKET).unwrap();
        let ends = PipeEnds::default();
        let session = Session::open(&id, &paths, &Request::Attach, ends).await;
        let mut supervisor = accept(&listener, MAX_LINE).await.unwrap();
        std::fs::remove_dir_all(&paths.run).unwrap();
        let (request, _) = supervisor.receive::<Request>().await.unwrap().unwrap();
        assert_eq!(request, Request::Attach);
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
            supervisor.send(&started(), &[]).await.unwrap();
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
        let (end, ()) = futures_util::join!(drive(session, pipes, ATTACHMENT), played);
        let Ok(End::Exited(exit, _)) = end else {
            panic!("{end:?}");
        };
        assert_eq!(exit.status, 137);
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_signal_before_the_start_waits_and_a_second_one_gives_up() {
        let _alone = RAISING.lock().await;
        let (session, mut supervisor) = connect("early").await;
        let (pipes_one, out, err) = pipes();
        let played = async {
            raise(Raised::SIGTERM).unwrap();
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            supervisor.send(&started(), &[]).await.unwrap();
            assert_eq!(asked(&mut supervisor).await, Request::Signal { number: 15 });
            supervisor.send(&exited(0), &[]).await.unwrap();
            drop((out, err));
        };
        let (end, ()) = futures_util::join!(drive(session, pipes_one, ATTACHMENT), played);
        assert!(matches!(end, Ok(End::Exited(..))), "{end:?}");

        let (session, _supervisor) = connect("impatient").await;
        let (pipes_two, _out, _err) = pipes();
        let played = async {
            raise(Raised::SIGTERM).unwrap();
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            raise(Raised::SIGINT).unwrap();
        };
        let (end, ()) = futures_util::join!(drive(session, pipes_two, ATTACHMENT), played);
        assert!(matches!(end, Ok(End::Interrupted(Signal::INT))), "{end:?}");
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_supervisor_that_dies_is_an_error_after_the_last_output() {
        let _alone = RAISING.lock().await;
        let (session, supervisor) = connect("dead").await;
        let (pipes, out, err) = pipes();
        let played = async {
            supervisor.send(&started(), &[]).await.unwrap();
            drop((supervisor, out, err));
        };
        let (end, ()) = futures_util::join!(drive(session, pipes, ATTACHMENT), played);
        assert!(matches!(end, Err(SessionError::Engine(_))), "{end:?}");
    }

    #[tokio::test(flavor = "current_thread")]
    async fn an_owner_kills_what_nobody_reads_and_others_only_leave() {
        let _alone = RAISING.lock().await;
        let broken = |stream| News::Unwritable(stream, io::ErrorKind::BrokenPipe.into());
        for (owner, name) in [(true, "owner"), (false, "guest")] {
            let (session, mut supervisor) = connect(name).await;
            let mut driver = Driver {
                session,
                attachment: Attachment {
                    owner,
                    ..ATTACHMENT
                },
                news: unbounded_channel().1,
                streams: 2,
                interrupts: 0,
                failure: None,
            };
            assert!(
                !driver.obey(broken("stderr")).await,
                "stderr is no reason to end"
            );
            assert_eq!(driver.obey(broken("stdout")).await, !owner);
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
}
