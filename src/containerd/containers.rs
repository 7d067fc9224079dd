//! Container records: create, read, update, delete, list.

use std::collections::HashMap;

use containerd_client::services::v1 as api;
use prost_types::{Any, FieldMask};
use serde_json::Value;

use super::{Client, Error, check};

/// The type URL that containerd, ctr and nerdctl give to an OCI runtime spec.
const SPEC_URL: &str = "types.containerd.io/opencontainers/runtime-spec/1/Spec";

/// A container record, with JSON where containerd keeps JSON.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Container {
    /// The id, unique in its namespace.
    pub id: String,
    /// The labels.
    pub labels: HashMap<String, String>,
    /// The image's name.
    pub image: String,
    /// The OCI runtime's name.
    pub runtime: String,
    /// The OCI spec as JSON text.
    pub spec: Vec<u8>,
    /// The snapshotter.
    pub snapshotter: String,
    /// The key of the snapshot that holds the root file system.
    pub snapshot_key: String,
    /// Extensions by key, each JSON text.
    pub extensions: HashMap<String, Vec<u8>>,
}

impl Client {
    /// Creates a record. The spec must be a valid one.
    ///
    /// # Errors
    /// Class `AlreadyExists` if the id is taken.
    pub async fn create_container(&self, container: Container) -> Result<(), Error> {
        let operation = format!("create container {}", container.id);
        let request = api::CreateContainerRequest {
            container: Some(container.into()),
        };
        check(&operation, self.containers_api().create(request).await)?;
        Ok(())
    }

    /// Reads one record.
    ///
    /// # Errors
    /// Class `NotFound` if there is none.
    pub async fn container(&self, id: &str) -> Result<Container, Error> {
        let request = api::GetContainerRequest { id: id.to_owned() };
        let operation = format!("read container {id}");
        let answer = check(&operation, self.containers_api().get(request).await)?;
        let container = answer.container.ok_or(Error::Incomplete {
            what: "a container",
        })?;
        Ok(container.into())
    }

    /// Replaces one extension of a record and leaves everything else alone.
    ///
    /// # Errors
    /// Class `NotFound` if there is no such record.
    pub async fn update_extension(&self, id: &str, key: &str, json: Vec<u8>) -> Result<(), Error> {
        let extensions = HashMap::from([(key.to_owned(), json)]);
        let container = Container {
            id: id.to_owned(),
            extensions,
            ..Container::default()
        };
        self.update(container, format!("extensions.{key}")).await
    }

    /// Replaces the spec of a record and leaves everything else alone.
    ///
    /// # Errors
    /// Class `NotFound` if there is no such record.
    pub async fn update_spec(&self, id: &str, spec: Vec<u8>) -> Result<(), Error> {
        let container = Container {
            id: id.to_owned(),
            spec,
            ..Container::default()
        };
        self.update(container, "spec".to_owned()).await
    }

    async fn update(&self, container: Container, path: String) -> Result<(), Error> {
        let operation = format!("update container {}", container.id);
        let request = api::UpdateContainerRequest {
            container: Some(container.into()),
            update_mask: Some(FieldMask { paths: vec![path] }),
        };
        check(&operation, self.containers_api().update(request).await)?;
        Ok(())
    }

    /// Deletes a record.
    ///
    /// # Errors
    /// Class `NotFound` if there is none.
    pub async fn delete_container(&self, id: &str) -> Result<(), Error> {
        let request = api::DeleteContainerRequest { id: id.to_owned() };
        let operation = format!("delete container {id}");
        check(&operation, self.containers_api().delete(request).await)?;
        Ok(())
    }

    /// Lists all records of the namespace, streamed: 500 of them are more than one message holds.
    ///
    /// # Errors
    /// Any refusal by containerd.
    pub async fn list_containers(&self) -> Result<Vec<Container>, Error> {
        let operation = "list containers";
        let request = api::ListContainersRequest {
            filters: Vec::new(),
        };
        let mut stream = check(operation, self.containers_api().list_stream(request).await)?;
        let mut containers = Vec::new();
        loop {
            match stream.message().await {
                Ok(Some(message)) => containers.extend(message.container.map(Container::from)),
                Ok(None) => return Ok(containers),
                Err(status) => return Err(Error::call(operation, status)),
            }
        }
    }
}

impl From<Container> for api::Container {
    fn from(container: Container) -> api::Container {
        let json = |url: &str, value| Any {
            type_url: url.to_owned(),
            value,
        };
        let runtime = api::container::Runtime {
            name: container.runtime,
            options: None,
        };
        api::Container {
            id: container.id,
            labels: container.labels,
            image: container.image,
            runtime: Some(runtime),
            spec: Some(json(SPEC_URL, container.spec)),
            snapshotter: container.snapshotter,
            snapshot_key: container.snapshot_key,
            extensions: container
                .extensions
                .into_iter()
                .map(|(key, value)| {
                    let any = json(&key, value);
                    (key, any)
                })
                .collect(),
            ..api::Container::default()
        }
    }
}

impl From<api::Container> for Container {
    fn from(container: api::Container) -> Container {
        Container {
            id: container.id,
            labels: container.labels,
            image: container.image,
            runtime: container
                .runtime
                .map(|runtime| runtime.name)
                .unwrap_or_default(),
            spec: container.spec.map(|any| any.value).unwrap_or_default(),
            snapshotter: container.snapshotter,
            snapshot_key: container.snapshot_key,
            extensions: container
                .extensions
                .into_iter()
                .map(|(key, any)| (key, any.value))
                .collect(),
        }
    }
}

impl Container {
    /// The spec as a JSON value; null if it is none.
    pub fn spec_value(&self) -> Value {
        serde_json::from_slice(&self.spec).unwrap_or(Value::Null)
    }
}
