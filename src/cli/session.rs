//! An attached session: our standard streams, signals and window on one side, a supervisor on the
//! other.
//!
//! Invariant: the terminal is as it was when the session is over; output that was read is written;
//! nothing waits in the event loop, so that signals always get through (streams are copied by
//! threads of their own).

use std::io::{self, IsTerminal};

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::output;
use super::signals::Signals;
use super::streams::{News, Writing, read_input, write_outputs};
use crate::commands::attached::{Attached, Heir};
use crate::engine::error::Error;
use crate::engine::protocol::{Event, Request};
use crate::engine::session::Session;
use crate::engine::steps::Taken;
use crate::model::class::{Class, Explain, Failure};
use crate::model::record::Exit;
use crate::model::signal::Signal;
use crate::sys::terminal::{self, RawMode};

/// SIGWINCH, which is no signal for the process but news of our window.
const WINCH: i32 = nix::libc::SIGWINCH;

/// What our going means to the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It is ours (`run`, `exec`): it ends when nobody reads its output any more, and a second SIGINT
    /// kills it.
    Owner {
        /// Print the steps when it is over.
        timings: bool,
    },
    /// It goes on without us.
    Client,
}

/// What is wrong with our side of a session.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// Several containers, and one terminal.
    #[error("only one container can be attached to at a time")]
    OneAtATime,
    /// A terminal was asked for, and there is none here.
    #[error("a terminal for the container (-t) needs one on standard input, which is none")]
    NoTerminal,
    /// The container has a terminal, and what would be typed comes from none.
    #[error("the container has a terminal (-t), and standard input is none to type into it from")]
    NotTyped,
    /// A signal that was not to be passed on.
    #[error("a signal came, and the container was left alone")]
    Signalled(u8),
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
            Self::NoTerminal | Self::NotTyped | Self::OneAtATime => Class::InvalidInput,
            Self::Signalled(number) => Class::Interrupted(*number),
            Self::Prepare { .. } | Self::Output { .. } => Class::Failed,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::NoTerminal => Some("leave -t out, or start it detached with -d".to_owned()),
            Self::NotTyped => Some("attach with --no-stdin to see what it prints".to_owned()),
            Self::OneAtATime | Self::Signalled(_) | Self::Prepare { .. } | Self::Output { .. } => {
                None
            }
        }
    }
}

/// Refuses `-t` where there is no terminal. To be asked before anything is made.
///
/// # Errors
/// [`SessionError::NoTerminal`].
pub fn check_terminal(wanted: bool) -> Result<(), SessionError> {
    match wanted && !io::stdin().is_terminal() {
        true => Err(SessionError::NoTerminal),
        false => Ok(()),
    }
}

/// Refuses to type into a container's terminal what comes from none: its end would be the end of
/// whoever reads there.
///
/// # Errors
/// [`SessionError::NotTyped`].
pub fn check_input(attached: &Attached) -> Result<(), SessionError> {
    match attached.terminal && attached.stdin.is_some() && !io::stdin().is_terminal() {
        true => Err(SessionError::NotTyped),
        false => Ok(()),
    }
}

/// Connects our streams, signals and window to a process that runs, until it has ended or we have
/// left; gives its exit status, or 0. `signals` are passed on, those that came before, too.
///
/// # Errors
/// What the supervisor met, or our own streams.
pub async fn drive(attached: Attached, role: Role, mut signals: Signals) -> Result<u8, Failure> {
    let Attached {
        session,
        pipes,
        stdin,
        terminal,
        steps: _,
        heir,
        wishes,
    } = attached;
    let (sender, news) = unbounded_channel();
    // Raw before the first output: what a terminal shows has its line ends already.
    let keys = terminal && stdin.is_some() && io::stdin().is_terminal();
    let raw = match keys {
        true => Some(RawMode::enter().map_err(prepare("set the terminal"))?),
        false => None,
    };
    let wanted = (wishes.stdout, wishes.stderr);
    let writing =
        write_outputs(pipes, wanted, &sender, Vec::new()).map_err(prepare("write the output"))?;
    if let Some(path) = stdin {
        read_input(&path, keys.then_some(&wishes.keys), &sender)
            .map_err(prepare("pass on the input"))?;
    }
    let mut driver = Driver {
        session,
        heir,
        wanted,
        proxy: wishes.proxy,
        sender,
        role,
        terminal,
        news,
        streams: writing.len(),
        writing,
        interrupts: 0,
        failure: None,
    };
    driver.resize().await;
    let end = driver.run(&mut signals).await;
    // What was written before the end is still on its way, whoever brought the end about.
    driver.drain(&mut signals).await;
    drop(raw);
    if let Some(failure) = driver.failure {
        return Err(failure.into());
    }
    let Some((exit, steps)) = end? else {
        return Ok(0);
    };
    driver.session.over().await;
    if role == (Role::Owner { timings: true }) {
        show_timings(&steps);
    }
    Ok(u8::try_from(exit.status).unwrap_or(u8::MAX))
}

/// Begins to catch the signals that a session passes on.
///
/// # Errors
/// The event loop cannot watch signals.
pub fn catch_signals() -> Result<Signals, SessionError> {
    Signals::catch().map_err(prepare("catch signals"))
}

fn prepare(action: &'static str) -> impl FnOnce(io::Error) -> SessionError {
    move |source| SessionError::Prepare { action, source }
}

/// The session while the process runs.
struct Driver {
    session: Session,
    /// Who goes on if the supervisor dies.
    heir: Option<Heir>,
    /// Whether standard output and standard error are wanted.
    wanted: (bool, bool),
    /// Signals are passed on.
    proxy: bool,
    /// For the threads that write output.
    sender: UnboundedSender<News>,
    role: Role,
    /// The process has a terminal.
    terminal: bool,
    news: UnboundedReceiver<News>,
    /// How many streams are still being written.
    streams: usize,
    /// The threads that write them now.
    writing: Vec<Writing>,
    /// How many SIGINTs came; on a raw terminal a typed ctrl-c is none.
    interrupts: usize,
    /// What is wrong with our streams.
    failure: Option<SessionError>,
}

impl Driver {
    fn is_owner(&self) -> bool {
        matches!(self.role, Role::Owner { .. })
    }

    /// Serves both sides until the process has ended, which gives its status, or we leave.
    async fn run(&mut self, signals: &mut Signals) -> Result<Option<(Exit, Vec<Taken>)>, Failure> {
        loop {
            let news = tokio::select! {
                biased;
                number = signals.next() => {
                    if !self.proxy && number != WINCH {
                        // It goes on without us; our own end is the signal's.
                        self.session.ask(&Request::Detach).await.ok();
                        self.streams = 0;
                        let number = u8::try_from(number).unwrap_or(0);
                        return Err(SessionError::Signalled(number).into());
                    }
                    self.signal(number).await;
                    continue;
                }
                // `news` never ends before `self` does: a sender may still be in a thread.
                Some(news) = self.news.recv() => news,
                event = self.session.event() => match event {
                    Ok(Event::Exited { exit, steps }) => return Ok(Some((exit, steps))),
                    Ok(Event::Failed(report)) => return Err(report.into()),
                    Ok(Event::Started { .. } | Event::Removed) => continue,
                    Err(gone) => match self.go_on(gone).await? {
                        Some(exit) => return Ok(Some((exit, Vec::new()))),
                        None => continue,
                    },
                },
            };
            if self.obey(news).await {
                // A supervisor that has gone cannot be told, and need not.
                self.session.ask(&Request::Detach).await.ok();
                // The threads are left to themselves: what comes from now on is not for us.
                self.streams = 0;
                return Ok(None);
            }
        }
    }

    /// The supervisor died: another one takes over, and we go on with it; or the process has ended
    /// in between, and here is how.
    async fn go_on(&mut self, gone: Error) -> Result<Option<Exit>, Failure> {
        let Some(heir) = &self.heir else {
            return Err(gone.into());
        };
        let Some((session, pipes)) = heir.take_over(self.terminal).await? else {
            return heir.exit().await.map(Some).ok_or(gone.into());
        };
        self.session = session;
        // What the dead one had passed on comes first.
        let before = std::mem::take(&mut self.writing);
        self.writing = write_outputs(pipes, self.wanted, &self.sender, before)
            .map_err(prepare("write the output"))?;
        self.streams += self.writing.len();
        self.resize().await;
        Ok(None)
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
                self.give_up(stream, source);
                if !self.is_owner() {
                    return true;
                }
                self.pass_on(Signal::KILL.number()).await;
            }
        }
        false
    }

    /// Notes that a stream cannot be written any more; that its reader has seen enough is no failure.
    fn give_up(&mut self, stream: &'static str, source: io::Error) {
        self.streams -= 1;
        if source.kind() != io::ErrorKind::BrokenPipe {
            self.failure = Some(SessionError::Output { stream, source });
        }
    }

    /// Waits until all output is written. A reader who does not read holds us up, until ctrl-c.
    async fn drain(&mut self, signals: &mut Signals) {
        while self.streams > 0 {
            tokio::select! {
                Some(news) = self.news.recv() => match news {
                    News::Written => self.streams -= 1,
                    News::Unwritable(stream, source) => self.give_up(stream, source),
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
        // On a raw terminal ctrl-c is a key and the container's; this one was sent to us.
        let kills = self.is_owner() && self.interrupts > 1;
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
        if let (true, Some((width, height))) = (self.terminal, terminal::own_size()) {
            self.session
                .ask(&Request::Resize { width, height })
                .await
                .ok();
        }
    }
}

/// Prints the steps as a table: when each began and how long it took, in milliseconds.
pub fn show_timings(steps: &[Taken]) {
    let milliseconds = |micros: u64| micros as f64 / 1000.0;
    output::note(" began/ms   took/ms  step");
    for step in steps {
        let (began, took) = (milliseconds(step.began), milliseconds(step.took));
        let what = format!("{} {}", step.step, step.object);
        output::note(&format!("{began:>9.2} {took:>9.2}  {}", what.trim_end()));
    }
}

#[cfg(test)]
#[path = "session_tests.rs"]
mod tests;
