//! A registry that does what a test tells it: for what a good server will not do.
//!
//! Invariant: what the script leaves alone is answered as a good registry would, from the test
//! images; every request is kept.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use nix::sched::{CloneFlags, setns};
use sha2::{Digest, Sha256};

use super::FakeHost;

/// What a client asked for.
#[derive(Debug, Clone)]
pub struct Request {
    pub method: String,
    /// The path with its query, or the whole address where we are a proxy.
    pub target: String,
    /// Their names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut all = self.headers.iter();
        all.find(|(own, _)| own == name)
            .map(|(_, value)| value.as_str())
    }

    pub fn is(&self, method: &str, part: &str) -> bool {
        self.method == method && self.target.contains(part)
    }
}

/// How an answer is sent.
#[derive(Debug, Clone, Copy)]
enum Manner {
    Whole,
    /// So many bytes of the body, then the connection is gone.
    Cut(usize),
    /// In pieces of so many bytes with this pause between them.
    Trickle(usize, Duration),
}

/// What is answered.
#[derive(Debug, Clone)]
pub struct Reply {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    manner: Manner,
}

impl Reply {
    pub fn new(status: u16, body: impl Into<Vec<u8>>) -> Reply {
        Reply {
            status,
            headers: Vec::new(),
            body: body.into(),
            manner: Manner::Whole,
        }
    }

    pub fn header(mut self, name: &str, value: &str) -> Reply {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn cut(mut self, bytes: usize) -> Reply {
        self.manner = Manner::Cut(bytes);
        self
    }

    pub fn trickle(mut self, bytes: usize, pause: Duration) -> Reply {
        self.manner = Manner::Trickle(bytes, pause);
        self
    }

    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Reply {
        self.body = body.into();
        self
    }

    pub fn bytes(&self) -> &[u8] {
        &self.body
    }
}

/// The test images as a good registry has them.
#[derive(Clone)]
pub struct Good {
    storage: PathBuf,
}

impl Good {
    /// The answer of a good registry.
    pub fn answer(&self, request: &Request) -> Reply {
        let path = request.target.split('?').next().unwrap();
        let Some(path) = path.strip_prefix("/v2/") else {
            return Reply::new(404, "");
        };
        let reply = match path.rsplit_once("/manifests/") {
            Some((name, wanted)) => self.manifest(name, wanted),
            None => match path.rsplit_once("/blobs/") {
                Some((_, digest)) => self.blob(digest).map(|body| Reply::new(200, body)),
                None => Some(Reply::new(200, "{}")),
            },
        };
        ranged(request, reply.unwrap_or_else(|| Reply::new(404, "")))
    }

    fn manifest(&self, name: &str, wanted: &str) -> Option<Reply> {
        let digest = match wanted.starts_with("sha256:") {
            true => wanted.to_owned(),
            false => {
                let tag = format!("repositories/{name}/_manifests/tags/{wanted}/current/link");
                fs::read_to_string(self.storage.join(tag)).ok()?
            }
        };
        Some(document(self.blob(&digest)?))
    }

    /// The bytes of a blob.
    pub fn blob(&self, digest: &str) -> Option<Vec<u8>> {
        let hash = digest.strip_prefix("sha256:")?;
        let file = format!("blobs/sha256/{}/{hash}/data", hash.get(..2)?);
        fs::read(self.storage.join(file)).ok()
    }
}

/// A manifest or an index as a good registry sends it.
pub fn document(body: Vec<u8>) -> Reply {
    let json: serde_json::Value = serde_json::from_slice(&body).unwrap();
    let media_type = json["mediaType"]
        .as_str()
        .unwrap_or("application/json")
        .to_owned();
    let digest = digest_of(&body);
    Reply::new(200, body)
        .header("content-type", &media_type)
        .header("docker-content-digest", &digest)
}

/// `sha256:` and the digest.
pub fn digest_of(bytes: &[u8]) -> String {
    let hash = Sha256::digest(bytes);
    let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}

fn ranged(request: &Request, reply: Reply) -> Reply {
    let range = request.header("range").filter(|_| reply.status == 200);
    let Some(range) = range.and_then(|range| range.strip_prefix("bytes=")) else {
        return reply;
    };
    let begin: usize = range.trim_end_matches('-').parse().unwrap();
    let size = reply.body.len();
    let range = format!("bytes {begin}-{}/{size}", size - 1);
    Reply {
        status: 206,
        body: reply.body[begin..].to_vec(),
        ..reply
    }
    .header("content-range", &range)
}

/// A registry that runs until it is dropped.
pub struct Scripted {
    requests: Arc<Mutex<Vec<Request>>>,
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Scripted {
    /// What was asked so far.
    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        let _ = self.thread.take().unwrap().join();
    }
}

impl FakeHost {
    /// Starts a registry at `address` that answers as `script` has it, and as a good one where the
    /// script gives nothing. The host must have the test images' storage.
    pub fn scripted(
        &self,
        address: &str,
        script: impl Fn(&Request, &Good) -> Option<Reply> + Send + Sync + 'static,
    ) -> Scripted {
        let namespace = fs::File::open(format!("/proc/{}/ns/net", self.init())).unwrap();
        let storage = self.dir().join("storage/docker/registry/v2");
        let served = Served {
            good: Good { storage },
            script: Box::new(script),
            requests: Arc::default(),
        };
        let requests = Arc::clone(&served.requests);
        let ended = Arc::new(AtomicBool::new(false));
        let (address, over, served) = (address.to_owned(), Arc::clone(&ended), Arc::new(served));
        let (ready, listens) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            // The thread, and those that it starts, belong to the host and end with the registry.
            setns(namespace, CloneFlags::CLONE_NEWNET).unwrap();
            let listener = TcpListener::bind(address).unwrap();
            listener.set_nonblocking(true).unwrap();
            ready.send(()).unwrap();
            while !over.load(Ordering::Relaxed) {
                match listener.accept() {
                    Ok((stream, _)) => {
                        let served = Arc::clone(&served);
                        std::thread::spawn(move || served.connection(stream));
                    }
                    Err(_) => std::thread::sleep(Duration::from_millis(2)),
                }
            }
        });
        listens.recv().unwrap();
        Scripted {
            requests,
            ended,
            thread: Some(thread),
        }
    }
}

type Script = dyn Fn(&Request, &Good) -> Option<Reply> + Send + Sync;

struct Served {
    good: Good,
    script: Box<Script>,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl Served {
    fn connection(&self, stream: TcpStream) {
        stream.set_nonblocking(false).unwrap();
        // A client that keeps its connection must not keep the test.
        stream
            .set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        while let Some(request) = read(&mut reader) {
            self.requests.lock().unwrap().push(request.clone());
            let scripted = (self.script)(&request, &self.good);
            let reply = scripted.unwrap_or_else(|| self.good.answer(&request));
            if !matches!(send(&stream, &request, &reply), Ok(true)) {
                let _ = stream.shutdown(std::net::Shutdown::Both);
                return;
            }
        }
    }
}

fn read(reader: &mut impl BufRead) -> Option<Request> {
    let mut line = String::new();
    reader
        .read_line(&mut line)
        .ok()
        .filter(|count| *count > 0)?;
    let mut words = line.split(' ');
    let mut request = Request {
        method: words.next()?.to_owned(),
        target: words.next()?.to_owned(),
        headers: Vec::new(),
        body: Vec::new(),
    };
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim().split_once(':') else {
            break;
        };
        let name = name.to_lowercase();
        request.headers.push((name, value.trim().to_owned()));
    }
    let length = request
        .header("content-length")
        .and_then(|n| n.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    reader.read_exact(&mut body).ok()?;
    request.body = body;
    Some(request)
}

/// Whether the connection may be used again.
fn send(mut stream: &TcpStream, request: &Request, reply: &Reply) -> std::io::Result<bool> {
    let mut head = format!("HTTP/1.1 {} Scripted\r\n", reply.status);
    for (name, value) in &reply.headers {
        head += &format!("{name}: {value}\r\n");
    }
    head += &format!("content-length: {}\r\n\r\n", reply.body.len());
    stream.write_all(head.as_bytes())?;
    if request.method == "HEAD" {
        return Ok(true);
    }
    match reply.manner {
        Manner::Whole => stream.write_all(&reply.body)?,
        Manner::Cut(bytes) => {
            stream.write_all(&reply.body[..bytes.min(reply.body.len())])?;
            return Ok(false);
        }
        Manner::Trickle(bytes, pause) => {
            for piece in reply.body.chunks(bytes) {
                stream.write_all(piece)?;
                std::thread::sleep(pause);
            }
        }
    }
    Ok(true)
}
