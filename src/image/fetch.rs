//! From the registry's hosts into containerd's content store.
//!
//! Invariant: hosts are tried in their order, the registry itself last; the trouble of the last
//! one that answered is the error, and every other host's is told as an event.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::pin::pin;
use std::time::Duration;

use futures_util::TryStreamExt;
use oci_spec::image::Descriptor;
use reqwest::Url;

use super::content::{self, Labels, Writer};
use super::error::ImageError;
use super::local::access;
use super::progress::{BlobState, Progress, PullEvent};
use super::registry::Endpoint;
use super::registry::error::FetchError;
use crate::containerd::{Client, Error};
use crate::model::class::{Class, Explain};
use crate::model::reference::Reference;

/// The beginning of the label that says which repositories content came from.
const SOURCE: &str = "containerd.io/distribution.source.";

/// The longest label that containerd takes, key and value together.
const MAX_LABEL: usize = 4096;

/// How often a host is asked again whose connections break before anything new has come; each time
/// goes on where the last one broke.
const ATTEMPTS: u32 = 4;

/// How long a host is left alone whose connection broke; it doubles.
const PAUSE: Duration = Duration::from_millis(100);

/// Fetches one image's content.
pub(super) struct Fetcher<'a> {
    pub client: &'a Client,
    pub reference: &'a Reference,
    pub endpoints: Vec<Endpoint<'a>>,
    pub progress: Progress<'a>,
}

/// A host that did not deliver, and its trouble.
type Skipped = (String, FetchError);

/// Whose trouble it is decides whether the next host is tried.
enum Trouble {
    Host(FetchError),
    Store(Error),
}

impl Fetcher<'_> {
    /// Asks what a tag stands for: the digest, and the media type as far as the registry says it.
    pub async fn resolve(&self, tag: &str) -> Result<(String, String), ImageError> {
        let mut last = None;
        for endpoint in self.up().filter(|endpoint| endpoint.resolves()) {
            match self.ask(endpoint, tag).await {
                Ok((digest, media_type)) => {
                    self.tell_skipped(last);
                    (self.progress)(PullEvent::Resolved {
                        digest: &digest,
                        host: &endpoint.name(),
                    });
                    return Ok((digest, media_type));
                }
                Err(Trouble::Store(source)) => return Err(self.refused(source)),
                Err(Trouble::Host(error)) => self.skip(&mut last, endpoint, error),
            }
        }
        Err(self.failed(last))
    }

    async fn ask(&self, endpoint: &Endpoint<'_>, tag: &str) -> Result<(String, String), Trouble> {
        let asked = persist(async |_| {
            let looked = endpoint.look(tag).await;
            match looked.map_err(Trouble::Host)? {
                Some(found) => Ok(found),
                None => {
                    let fetched = endpoint.manifest(tag).await.map_err(Trouble::Host)?;
                    Ok((fetched.digest, fetched.media_type))
                }
            }
        });
        asked.await
    }

    /// The bytes of a manifest by its digest: containerd's, else a host's; and the media type that
    /// the host gives.
    pub async fn document(&self, digest: &str) -> Result<(Vec<u8>, String), ImageError> {
        match content::read(self.client, digest).await {
            Ok(bytes) => return Ok((bytes, String::new())),
            Err(error) if error.is_not_found() => {}
            Err(source) => return Err(self.refused(source)),
        }
        let mut last = None;
        for endpoint in self.up().filter(|endpoint| endpoint.serves()) {
            let asked = persist(async |_| {
                let fetched = endpoint.manifest(digest).await;
                fetched.map_err(Trouble::Host)
            });
            match asked.await {
                Ok(fetched) => {
                    self.tell_skipped(last);
                    return Ok((fetched.bytes.to_vec(), fetched.media_type));
                }
                Err(Trouble::Store(source)) => return Err(self.refused(source)),
                Err(Trouble::Host(error)) => self.skip(&mut last, endpoint, error),
            }
        }
        Err(self.failed(last))
    }

    /// Stores a document under the lease. What is there already is opened all the same: that is what
    /// puts it under our lease, too, and the other pull that brought it may be given up any moment.
    pub async fn store(
        &self,
        descriptor: &Descriptor,
        bytes: &[u8],
        labels: Labels,
    ) -> Result<(), ImageError> {
        let stored = async {
            match content::open(self.client, descriptor, &|_| {}).await? {
                None => self.label(descriptor, labels).await,
                Some(writer) => writer.put(bytes, self.with_source(labels)).await,
            }
        };
        stored.await.map_err(|source| self.refused(source))
    }

    /// Fetches a blob unless containerd has it: from the registry's hosts, else from where its
    /// descriptor says that it is (layers that may not be distributed by others).
    pub async fn blob(&self, descriptor: &Descriptor, labels: Labels) -> Result<(), ImageError> {
        let mut last = None;
        let urls = descriptor.urls().iter().flatten();
        let urls = urls.filter_map(|url| Url::parse(url).ok());
        let elsewhere: Vec<Endpoint<'_>> = urls
            .filter(|url| matches!(url.scheme(), "http" | "https"))
            .map(|url| Endpoint::elsewhere(url, self.progress))
            .collect();
        let serving = self.up().filter(|endpoint| endpoint.serves());
        for endpoint in serving.chain(&elsewhere) {
            let asked = persist(async |reached: &Cell<u64>| {
                self.blob_from(endpoint, descriptor, &labels, reached).await
            });
            match asked.await {
                Ok(()) => {
                    self.tell_skipped(last);
                    return Ok(());
                }
                Err(Trouble::Store(source)) => return Err(self.refused(source)),
                Err(Trouble::Host(error)) => self.skip(&mut last, endpoint, error),
            }
        }
        Err(self.failed(last))
    }

    async fn blob_from(
        &self,
        endpoint: &Endpoint<'_>,
        descriptor: &Descriptor,
        labels: &Labels,
        reached: &Cell<u64>,
    ) -> Result<(), Trouble> {
        let others = |offset| self.tell(descriptor, BlobState::Fetching(offset));
        let opened = content::open(self.client, descriptor, &others).await;
        let Some(mut writer) = opened.map_err(Trouble::Store)? else {
            self.tell(descriptor, BlobState::Exists);
            let labelled = self.label(descriptor, labels.clone()).await;
            return labelled.map_err(Trouble::Store);
        };
        let copied = self.copy(endpoint, descriptor, &mut writer).await;
        reached.set(writer.offset());
        if let Err(trouble) = copied {
            match &trouble {
                Trouble::Host(error @ FetchError::Size { .. }) if !error.is_broken() => {
                    writer.abort().await;
                }
                // What has come is kept for whoever goes on.
                Trouble::Host(_) => writer.flush().await.map_err(Trouble::Store)?,
                Trouble::Store(_) => {}
            }
            return Err(trouble);
        }
        let committed = writer.commit(self.with_source(labels.clone())).await;
        committed.map_err(|error| match error.class() {
            Class::WrongState => Trouble::Host(FetchError::Content {
                host: endpoint.name(),
                expected: descriptor.digest().to_string(),
                source: error,
            }),
            _ => Trouble::Store(error),
        })?;
        self.tell(descriptor, BlobState::Fetched);
        Ok(())
    }

    /// Copies what containerd does not have yet.
    async fn copy(
        &self,
        endpoint: &Endpoint<'_>,
        descriptor: &Descriptor,
        writer: &mut Writer,
    ) -> Result<(), Trouble> {
        let size = descriptor.size();
        let digest = descriptor.digest().to_string();
        let wrong_size = |found| {
            Trouble::Host(FetchError::Size {
                host: endpoint.name(),
                digest: digest.clone(),
                expected: size,
                found,
            })
        };
        if writer.offset() < size {
            let opened = endpoint.blob(&digest, writer.offset()).await;
            let (stream, begins) = opened.map_err(Trouble::Host)?;
            let mut stream = pin!(stream);
            // A host that does not know ranges sends again what is there already.
            let mut superfluous = usize::try_from(writer.offset() - begins).unwrap_or(usize::MAX);
            while let Some(mut chunk) = stream.try_next().await.map_err(Trouble::Host)? {
                let skip = superfluous.min(chunk.len());
                superfluous -= skip;
                let chunk = chunk.split_off(skip);
                if writer.offset() + chunk.len() as u64 > size {
                    return Err(wrong_size(writer.offset() + chunk.len() as u64));
                }
                writer.append(chunk).await.map_err(Trouble::Store)?;
                self.tell(descriptor, BlobState::Fetching(writer.offset()));
            }
        }
        match writer.offset() {
            found if found == size => Ok(()),
            found => Err(wrong_size(found)),
        }
    }

    /// Adds to the labels of content that was there what is missing of ours.
    async fn label(&self, descriptor: &Descriptor, labels: Labels) -> Result<(), Error> {
        let digest = descriptor.digest().to_string();
        let there = content::labels(self.client, &digest).await?;
        let mut ours = self.with_source(labels);
        for (key, value) in &mut ours {
            if key.starts_with(SOURCE)
                && let Some(others) = there.get(key)
            {
                *value = merge(key, others, value);
            }
        }
        ours.retain(|(key, value)| there.get(key) != Some(value));
        content::label(self.client, &digest, &ours).await
    }

    fn with_source(&self, mut labels: Labels) -> Labels {
        let key = format!("{SOURCE}{}", self.reference.registry());
        labels.push((key, self.reference.repository().to_owned()));
        labels
    }

    fn tell(&self, descriptor: &Descriptor, state: BlobState) {
        (self.progress)(PullEvent::Blob {
            digest: descriptor.digest().as_ref(),
            size: descriptor.size(),
            state,
        });
    }

    /// The hosts that are worth asking: a mirror that could not be reached once is not asked again,
    /// it would cost a time-out for every blob.
    fn up(&self) -> impl Iterator<Item = &Endpoint<'_>> {
        let registry = self.endpoints.len().saturating_sub(1);
        let up = move |(number, endpoint): &(usize, &Endpoint<'_>)| {
            *number == registry || !endpoint.is_down()
        };
        let numbered = self.endpoints.iter().enumerate();
        numbered.filter(up).map(|(_, endpoint)| endpoint)
    }

    /// Keeps the more telling trouble: what a host answers says more than that another does not;
    /// of two answers the later one counts. The other one is only worth an event.
    fn skip(&self, last: &mut Option<Skipped>, endpoint: &Endpoint<'_>, error: FetchError) {
        if !error.is_answer() {
            endpoint.set_down();
        }
        let new = (endpoint.name(), error);
        let beside = match last {
            Some((_, kept)) if kept.is_answer() && !new.1.is_answer() => Some(new),
            _ => last.replace(new),
        };
        self.tell_skipped(beside);
    }

    fn tell_skipped(&self, skipped: Option<Skipped>) {
        if let Some((host, error)) = skipped {
            (self.progress)(PullEvent::HostSkipped {
                host: &host,
                error: &error,
            });
        }
    }

    fn failed(&self, last: Option<Skipped>) -> ImageError {
        let image = self.reference.to_string();
        match last {
            Some((_, error)) => ImageError::Fetch {
                image,
                source: Box::new(error),
            },
            None => ImageError::NoHost { image },
        }
    }

    fn refused(&self, source: Error) -> ImageError {
        access("pull", &self.reference.to_string(), source)
    }
}

/// Asks one host again when the connection breaks, until nothing new comes any more; one that falls
/// silent, which takes a minute each time, once. The work notes how far it came.
async fn persist<T>(
    mut work: impl AsyncFnMut(&Cell<u64>) -> Result<T, Trouble>,
) -> Result<T, Trouble> {
    let (reached, mut before, mut broken) = (Cell::new(0), 0, 0);
    loop {
        let weight = match work(&reached).await {
            Err(Trouble::Host(error)) if error.is_broken() && broken < ATTEMPTS => {
                let silent = error.class() == Class::Timeout;
                if silent { ATTEMPTS } else { 1 }
            }
            outcome => return outcome,
        };
        broken = if reached.get() > before {
            0
        } else {
            broken + weight
        };
        before = before.max(reached.get());
        tokio::time::sleep(PAUSE * 2_u32.pow(broken.min(ATTEMPTS))).await;
    }
}

/// Adds a repository to a list that commas part; one that became too long for containerd stays.
fn merge(key: &str, others: &str, repository: &str) -> String {
    let mut all: BTreeSet<&str> = others.split(',').filter(|part| !part.is_empty()).collect();
    all.insert(repository);
    let merged = all.into_iter().collect::<Vec<_>>().join(",");
    match key.len() + merged.len() > MAX_LABEL {
        true => others.to_owned(),
        false => merged,
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Write};
    use std::net::TcpListener;

    use super::*;

    /// The trouble with a host that, `silent`, says nothing, or else hangs up within its answer.
    async fn trouble(silent: bool) -> Trouble {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        // Another test may have installed it.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder().no_proxy();
        let source = if silent {
            let client = client.read_timeout(Duration::from_millis(50)).build();
            client.unwrap().get(url).send().await.unwrap_err()
        } else {
            let host = std::thread::spawn(move || hang_up(&listener));
            let answer = client.build().unwrap().get(url).send().await.unwrap();
            let broken = answer.bytes().await.unwrap_err();
            host.join().unwrap();
            broken
        };
        let host = "x.y".to_owned();
        Trouble::Host(FetchError::Broken { host, source })
    }

    fn hang_up(listener: &TcpListener) {
        let (mut stream, _) = listener.accept().unwrap();
        // All of it: what is hung up upon something unread is a reset.
        let lines = BufReader::new(&stream).lines().map(Result::unwrap);
        assert!(lines.take_while(|line| !line.is_empty()).count() > 0);
        let begun = b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nab";
        stream.write_all(begun).unwrap();
    }

    #[tokio::test]
    async fn a_host_that_falls_silent_is_asked_once_more() {
        for (silent, news, expected) in [(false, 0, 5), (true, 0, 2), (true, 1, 3)] {
            let mut calls = 0;
            let outcome = persist(async |reached: &Cell<u64>| {
                calls += 1;
                reached.set(news);
                Err::<(), _>(trouble(silent).await)
            });
            assert!(matches!(outcome.await, Err(Trouble::Host(_))));
            assert_eq!(calls, expected, "{silent} {news}");
        }
    }

    #[test]
    fn repositories_are_merged_sorted_and_once() {
        assert_eq!(merge("k", "b,c", "a"), "a,b,c");
        assert_eq!(merge("k", "a,b", "a"), "a,b");
        assert_eq!(merge("k", "", "a"), "a");
        let long = "x".repeat(4090);
        assert_eq!(merge("k", &long, "abcdef"), long);
    }
}
