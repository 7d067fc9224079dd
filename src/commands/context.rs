//! What every command works with: the settings, containerd, and somebody to tell things to.
//!
//! Invariant: a command that touches containers has first taken over from dead supervisors.

use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::timeout;

use super::settings::{GlobalArgs, Settings};
use crate::engine::host::Host;
use crate::engine::steps::Fault;
use crate::engine::{recover, scope_end, scopes};
use crate::image::{PullEvent, lease};
use crate::model::class::Failure;

/// How long a command waits for adoptions that may not concern it.
const ADOPTION: Duration = Duration::from_secs(1);

/// Whoever is told what is going on: the CLI.
pub trait Audience {
    /// Something is not as it should be, and the command goes on.
    fn warn(&self, text: &str);

    /// The pull of an image, as the user named it, goes on.
    fn pulling(&self, image: &str, event: PullEvent<'_>);

    /// No pull goes on any more.
    fn pulled(&self);

    /// Columns and rows of its terminal, if it has one.
    fn window(&self) -> Option<(u16, u16)>;
}

/// What a command works with.
pub struct Context<'a> {
    /// Where everything is.
    pub settings: Settings,
    /// containerd.
    pub host: Host,
    /// Whoever is told.
    pub audience: &'a dyn Audience,
    /// A fault that a test asks for.
    pub fault: Option<Fault>,
}

impl<'a> Context<'a> {
    /// Resolves the settings, takes over from supervisors that died, and tidies up after commands that
    /// were killed.
    ///
    /// # Errors
    /// The settings cannot be known.
    pub async fn new(global: &GlobalArgs, audience: &'a dyn Audience) -> Result<Self, Failure> {
        let context = Context::without_adoption(global, audience)?;
        recover::tidy();
        let orphans = recover::orphans(&context.settings.address).into_iter();
        let adoptions = orphans.map(async |(namespace, id)| {
            let adopted = recover::adopt(&context.settings.address, &namespace, &id).await;
            if let Err(error) = adopted {
                let text = format!("container {id}: its supervisor had died, and {error}");
                audience.warn(&text);
            }
        });
        // What takes longer goes on by itself; a command that names the container waits for it.
        let _ = timeout(ADOPTION, join_all(adoptions)).await;
        // Where it takes longer, the next command goes on with it.
        let _ = timeout(ADOPTION, context.end_scopes()).await;
        Ok(context)
    }

    /// Ends the scopes whose process has ended and that had nothing running to see it.
    async fn end_scopes(&self) {
        for (namespace, scope) in scopes::over(&self.settings.address) {
            let host = Host::new(self.settings.address.clone(), namespace);
            for (name, ended) in scope_end::sweep(&host, vec![scope]).await {
                for error in ended.err().into_iter().flatten() {
                    self.audience.warn(&format!("scope {name}: {error}"));
                }
            }
        }
    }

    /// Gives up what killed pulls still hold: whoever clears up after a job finds that gone, too. Where
    /// containerd cannot be reached, `gc` does it, or the lease expires.
    pub async fn forget_dead_pulls(&self) {
        if let Ok(client) = self.host.client().await {
            let _ = lease::sweep(&client).await;
        }
    }

    /// As [`Context::new`], for those who adopt by themselves or touch no container.
    ///
    /// # Errors
    /// The settings cannot be known.
    pub fn without_adoption(
        global: &GlobalArgs,
        audience: &'a dyn Audience,
    ) -> Result<Self, Failure> {
        let settings = Settings::resolve(global)?;
        let fault = std::env::var("NETRUN_FAILPOINT").ok();
        let fault = fault.map(|text| text.parse()).transpose()?;
        let host = Host::new(settings.address.clone(), settings.namespace.clone());
        Ok(Context {
            settings,
            host,
            audience,
            fault,
        })
    }
}
