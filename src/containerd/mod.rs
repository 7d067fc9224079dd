//! The one place that speaks gRPC: the connection, the namespace, deadlines and error classes.
//!
//! Invariant: every call carries the namespace and a deadline; only waiting for an exit has none.

mod containers;
mod error;
mod events;
mod server;
mod snapshots;
mod tasks;

pub use containers::Container;
pub use error::{Error, Refusal};
pub use events::{Events, Happened, Happening, Told};
pub use server::ServerVersion;
pub use snapshots::Mount;
pub use tasks::{ExecRequest, Exited, Stdio, Task, TaskState};

use std::path::{Path, PathBuf};
use std::time::Duration;

use containerd_client::services::v1 as api;
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};

/// Where containerd listens unless told otherwise.
pub const DEFAULT_ADDRESS: &str = "/run/containerd/containerd.sock";

/// How long a call may take unless it is a wait for an exit.
const DEADLINE: Duration = Duration::from_secs(60);

/// The largest answer taken; containerd itself refuses to send more.
const MAX_MESSAGE: usize = 16 * 1024 * 1024;

/// A channel whose calls carry our headers.
pub type Connection = InterceptedService<Channel, Headers>;

/// A connection to containerd in one namespace.
#[derive(Debug, Clone)]
pub struct Client {
    channel: Channel,
    headers: Headers,
}

/// What every call carries: namespace, deadline, and the lease where there is one.
#[derive(Debug, Clone)]
pub struct Headers {
    namespace: MetadataValue<Ascii>,
    lease: Option<MetadataValue<Ascii>>,
    deadline: Option<Duration>,
}

impl Interceptor for Headers {
    fn call(&mut self, mut call: tonic::Request<()>) -> Result<tonic::Request<()>, tonic::Status> {
        call.metadata_mut()
            .insert("containerd-namespace", self.namespace.clone());
        if let Some(lease) = &self.lease {
            call.metadata_mut()
                .insert("containerd-lease", lease.clone());
        }
        if let Some(deadline) = self.deadline {
            call.set_timeout(deadline);
        }
        Ok(call)
    }
}

impl Client {
    /// Connects to the socket; the namespace need not exist yet.
    ///
    /// # Errors
    /// [`Error::Connect`] with the reason: no socket, nobody listening, no rights.
    pub async fn connect(address: &Path, namespace: &str) -> Result<Client, Error> {
        let failed = |source| Error::Connect {
            address: address.to_owned(),
            source,
        };
        let stream = UnixStream::connect(address).await.map_err(failed)?;
        let channel = handshake(stream, address.to_owned()).await?;
        Ok(Client {
            channel,
            headers: Headers {
                namespace: header("namespace", namespace)?,
                lease: None,
                deadline: Some(DEADLINE),
            },
        })
    }

    /// The names of all namespaces.
    ///
    /// # Errors
    /// containerd refuses.
    pub async fn list_namespaces(&self) -> Result<Vec<String>, Error> {
        let request = api::ListNamespacesRequest::default();
        let answer = self.namespaces().list(request).await;
        let all = check("list namespaces", answer)?.namespaces.into_iter();
        Ok(all.map(|namespace| namespace.name).collect())
    }

    /// The same connection with another deadline for each call; none waits as long as it takes.
    #[must_use]
    pub fn with_deadline(&self, deadline: Option<Duration>) -> Client {
        let mut client = self.clone();
        client.headers.deadline = deadline;
        client
    }

    /// The same connection whose calls are made under a lease: what they create is held by it.
    ///
    /// # Errors
    /// [`Error::Header`] if the id cannot be sent as a header.
    pub fn with_lease(&self, lease: &str) -> Result<Client, Error> {
        let mut client = self.clone();
        client.headers.lease = Some(header("lease", lease)?);
        Ok(client)
    }

    /// The lease that the calls are made under, if any.
    pub fn lease(&self) -> Option<&str> {
        self.headers.lease.as_ref()?.to_str().ok()
    }

    fn connection(&self) -> Connection {
        InterceptedService::new(self.channel.clone(), self.headers.clone())
    }
}

fn header(what: &'static str, value: &str) -> Result<MetadataValue<Ascii>, Error> {
    value.parse().map_err(|_| Error::Header {
        what,
        value: value.to_owned(),
    })
}

/// Speaks HTTP/2 over `stream`; a later reconnect opens the address anew.
async fn handshake(stream: UnixStream, address: PathBuf) -> Result<Channel, Error> {
    let mut first = Some(stream);
    let connector = tower::service_fn(move |_| {
        let (stream, address) = (first.take(), address.clone());
        async move {
            let stream = match stream {
                Some(stream) => stream,
                None => UnixStream::connect(address).await?,
            };
            Ok::<_, std::io::Error>(TokioIo::new(stream))
        }
    });
    // The authority is never looked up: the connector knows where to go.
    Endpoint::from_static("http://containerd.invalid")
        .connect_with_connector(connector)
        .await
        .map_err(Error::Handshake)
}

macro_rules! services {
    ($($(#[$doc:meta])* $name:ident: $client:ty;)*) => {
        impl Client {
            $($(#[$doc])*
            pub fn $name(&self) -> $client {
                <$client>::new(self.connection())
                    .max_decoding_message_size(MAX_MESSAGE)
                    .max_encoding_message_size(MAX_MESSAGE)
            })*
        }
    };
}

services! {
    /// The containers service.
    containers_api: api::containers_client::ContainersClient<Connection>;
    /// The tasks service.
    tasks_api: api::tasks_client::TasksClient<Connection>;
    /// The snapshots service.
    snapshots: api::snapshots::snapshots_client::SnapshotsClient<Connection>;
    /// The images service.
    images: api::images_client::ImagesClient<Connection>;
    /// The content service.
    content: api::content_client::ContentClient<Connection>;
    /// The diff service.
    diff: api::diff_client::DiffClient<Connection>;
    /// The leases service.
    leases: api::leases_client::LeasesClient<Connection>;
    /// The namespaces service.
    namespaces: api::namespaces_client::NamespacesClient<Connection>;
    /// The introspection service.
    introspection: api::introspection_client::IntrospectionClient<Connection>;
    /// The events service.
    events_api: api::events_client::EventsClient<Connection>;
    /// The version service.
    version: api::version_client::VersionClient<Connection>;
}

/// Names the operation that a refused call belonged to.
///
/// # Errors
/// [`Error::Call`] if the call was refused.
pub fn check<T>(
    operation: &str,
    outcome: Result<tonic::Response<T>, tonic::Status>,
) -> Result<T, Error> {
    match outcome {
        Ok(response) => Ok(response.into_inner()),
        Err(status) => Err(Error::call(operation, status)),
    }
}
