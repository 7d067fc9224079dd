//! Tasks: the processes of containers.

use containerd_client::services::v1 as api;
use containerd_client::types::v1::{Process, Status};
use jiff::Timestamp;
use prost_types::Any;

use super::{Client, Error, Mount, check};

/// The type URL of an OCI process, by which shims know what an exec brings.
const PROCESS_URL: &str = "types.containerd.io/opencontainers/runtime-spec/1/Process";

/// The type URL of limits.
const RESOURCES_URL: &str = "types.containerd.io/opencontainers/runtime-spec/1/LinuxResources";

/// The FIFOs of a process; an empty path is a stream it does not have.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Stdio {
    /// The path of standard input's FIFO.
    pub stdin: String,
    /// The path of standard output's FIFO.
    pub stdout: String,
    /// The path of standard error's FIFO; a terminal has none.
    pub stderr: String,
    /// The process has a terminal.
    pub terminal: bool,
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Exited {
    /// Its exit status, 128 and more for a signal.
    pub status: u32,
    /// When.
    pub at: Timestamp,
}

/// What containerd says of a task.
#[derive(Debug, Clone, PartialEq)]
pub struct Task {
    /// The container's id.
    pub id: String,
    /// The first process, in the pid namespace of containerd.
    pub pid: u32,
    /// Its state.
    pub state: TaskState,
    /// The exit status, if stopped.
    pub exit_status: u32,
}

/// The state of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TaskState {
    /// Made, its process waits to be started.
    Created,
    /// Its process runs.
    Running,
    /// Its process has ended, the task is not deleted yet.
    Stopped,
    /// Frozen, or on the way there.
    Paused,
    /// containerd cannot say.
    Unknown,
}

/// A further process in a container.
#[derive(Debug, Clone)]
pub struct ExecRequest {
    /// The name of the process, unique in its container.
    pub exec_id: String,
    /// The OCI process as JSON text.
    pub process: Vec<u8>,
    /// Its streams.
    pub stdio: Stdio,
}

impl Client {
    /// Creates the task: shim, runc, the process up to its first instruction. Returns the pid.
    ///
    /// # Errors
    /// Classes `CommandNotFound` and `CommandNotExecutable` where runc says so.
    pub async fn create_task(
        &self,
        id: &str,
        rootfs: Vec<Mount>,
        stdio: Stdio,
    ) -> Result<u32, Error> {
        let request = api::CreateTaskRequest {
            container_id: id.to_owned(),
            rootfs: rootfs.into_iter().map(Into::into).collect(),
            stdin: stdio.stdin,
            stdout: stdio.stdout,
            stderr: stdio.stderr,
            terminal: stdio.terminal,
            ..api::CreateTaskRequest::default()
        };
        let operation = format!("create the task of {id}");
        Ok(check(&operation, self.tasks_api().create(request).await)?.pid)
    }

    /// Lets the created process run, or an exec's (`exec_id` empty for the first process).
    ///
    /// # Errors
    /// Class `NotFound` if there is no such process; `CommandNotFound` and others for an exec.
    pub async fn start_process(&self, id: &str, exec_id: &str) -> Result<u32, Error> {
        let request = api::StartRequest {
            container_id: id.to_owned(),
            exec_id: exec_id.to_owned(),
        };
        let operation = format!("start {}", of(id, exec_id));
        Ok(check(&operation, self.tasks_api().start(request).await)?.pid)
    }

    /// Waits until a process has ended, without a deadline.
    ///
    /// # Errors
    /// Class `NotFound` if containerd does not know the process (any more).
    pub async fn wait_process(&self, id: &str, exec_id: &str) -> Result<Exited, Error> {
        let request = api::WaitRequest {
            container_id: id.to_owned(),
            exec_id: exec_id.to_owned(),
        };
        let operation = format!("wait for {}", of(id, exec_id));
        let mut tasks = self.with_deadline(None).tasks_api();
        let answer = check(&operation, tasks.wait(request).await)?;
        Ok(Exited {
            status: answer.exit_status,
            at: time(answer.exited_at),
        })
    }

    /// Sends a signal to a process, or to all processes of the container.
    ///
    /// # Errors
    /// Class `NotFound` if there is no such process.
    pub async fn kill_process(
        &self,
        id: &str,
        exec_id: &str,
        signal: u32,
        all: bool,
    ) -> Result<(), Error> {
        let request = api::KillRequest {
            container_id: id.to_owned(),
            exec_id: exec_id.to_owned(),
            signal,
            all,
        };
        let operation = format!("signal {}", of(id, exec_id));
        check(&operation, self.tasks_api().kill(request).await)?;
        Ok(())
    }

    /// Deletes a task whose process has ended, and its shim with it.
    ///
    /// # Errors
    /// Class `NotFound` if there is no such task.
    pub async fn delete_task(&self, id: &str) -> Result<Exited, Error> {
        let request = api::DeleteTaskRequest {
            container_id: id.to_owned(),
        };
        let operation = format!("delete the task of {id}");
        let answer = check(&operation, self.tasks_api().delete(request).await)?;
        Ok(Exited {
            status: answer.exit_status,
            at: time(answer.exited_at),
        })
    }

    /// Adds a process to a running container; it waits to be started.
    ///
    /// # Errors
    /// Class `NotFound` if there is no such task.
    pub async fn exec_process(&self, id: &str, exec: ExecRequest) -> Result<(), Error> {
        let operation = format!("add a process to {id}");
        let request = api::ExecProcessRequest {
            container_id: id.to_owned(),
            exec_id: exec.exec_id,
            stdin: exec.stdio.stdin,
            stdout: exec.stdio.stdout,
            stderr: exec.stdio.stderr,
            terminal: exec.stdio.terminal,
            spec: Some(Any {
                type_url: PROCESS_URL.to_owned(),
                value: exec.process,
            }),
        };
        check(&operation, self.tasks_api().exec(request).await)?;
        Ok(())
    }

    /// Deletes an exec whose process has ended.
    ///
    /// # Errors
    /// Class `NotFound` if there is no such process.
    pub async fn delete_exec(&self, id: &str, exec_id: &str) -> Result<Exited, Error> {
        let request = api::DeleteProcessRequest {
            container_id: id.to_owned(),
            exec_id: exec_id.to_owned(),
        };
        let operation = format!("delete {}", of(id, exec_id));
        let answer = check(&operation, self.tasks_api().delete_process(request).await)?;
        Ok(Exited {
            status: answer.exit_status,
            at: time(answer.exited_at),
        })
    }

    /// Sets the size of a process's terminal, in characters.
    ///
    /// # Errors
    /// Any refusal by containerd.
    pub async fn resize(
        &self,
        id: &str,
        exec_id: &str,
        (width, height): (u16, u16),
    ) -> Result<(), Error> {
        let request = api::ResizePtyRequest {
            container_id: id.to_owned(),
            exec_id: exec_id.to_owned(),
            width: width.into(),
            height: height.into(),
        };
        let operation = format!("resize the terminal of {}", of(id, exec_id));
        check(&operation, self.tasks_api().resize_pty(request).await)?;
        Ok(())
    }

    /// Closes the shim's end of standard input, so that the process reads end of file.
    ///
    /// # Errors
    /// Any refusal by containerd.
    pub async fn close_stdin(&self, id: &str, exec_id: &str) -> Result<(), Error> {
        let request = api::CloseIoRequest {
            container_id: id.to_owned(),
            exec_id: exec_id.to_owned(),
            stdin: true,
        };
        let operation = format!("close the standard input of {}", of(id, exec_id));
        check(&operation, self.tasks_api().close_io(request).await)?;
        Ok(())
    }

    /// Freezes all processes of a container.
    ///
    /// # Errors
    /// Class `NotFound` if there is no such task.
    pub async fn pause_task(&self, id: &str) -> Result<(), Error> {
        let request = api::PauseTaskRequest {
            container_id: id.to_owned(),
        };
        let operation = format!("pause {id}");
        check(&operation, self.tasks_api().pause(request).await)?;
        Ok(())
    }

    /// Lets the frozen processes of a container go on.
    ///
    /// # Errors
    /// Class `NotFound` if there is no such task.
    pub async fn resume_task(&self, id: &str) -> Result<(), Error> {
        let request = api::ResumeTaskRequest {
            container_id: id.to_owned(),
        };
        let operation = format!("resume {id}");
        check(&operation, self.tasks_api().resume(request).await)?;
        Ok(())
    }

    /// The ids of all processes of a container, in the pid namespace of containerd.
    ///
    /// # Errors
    /// Class `NotFound` if there is no such task.
    pub async fn processes(&self, id: &str) -> Result<Vec<u32>, Error> {
        let request = api::ListPidsRequest {
            container_id: id.to_owned(),
        };
        let operation = format!("list the processes of {id}");
        let answer = check(&operation, self.tasks_api().list_pids(request).await)?;
        Ok(answer.processes.into_iter().map(|p| p.pid).collect())
    }

    /// Sets other limits for a container that runs; `resources` is the OCI spec's object as JSON.
    ///
    /// # Errors
    /// Class `NotFound` if there is no such task; the runtime's refusal.
    pub async fn update_task(&self, id: &str, resources: Vec<u8>) -> Result<(), Error> {
        let request = api::UpdateTaskRequest {
            container_id: id.to_owned(),
            resources: Some(Any {
                type_url: RESOURCES_URL.to_owned(),
                value: resources,
            }),
            ..api::UpdateTaskRequest::default()
        };
        let operation = format!("set the limits of {id}");
        check(&operation, self.tasks_api().update(request).await)?;
        Ok(())
    }

    /// What containerd says of one task.
    ///
    /// # Errors
    /// Class `NotFound` if there is none.
    pub async fn task(&self, id: &str) -> Result<Task, Error> {
        let request = api::GetRequest {
            container_id: id.to_owned(),
            exec_id: String::new(),
        };
        let operation = format!("read the task of {id}");
        let answer = check(&operation, self.tasks_api().get(request).await)?;
        answer
            .process
            .map(Task::from)
            .ok_or(Error::Incomplete { what: "a process" })
    }

    /// What containerd says of all tasks of the namespace.
    ///
    /// # Errors
    /// Any refusal by containerd.
    pub async fn list_tasks(&self) -> Result<Vec<Task>, Error> {
        let request = api::ListTasksRequest {
            filter: String::new(),
        };
        let answer = check("list tasks", self.tasks_api().list(request).await)?;
        Ok(answer.tasks.into_iter().map(Task::from).collect())
    }
}

impl From<Process> for Task {
    fn from(process: Process) -> Task {
        let state = match process.status() {
            Status::Created => TaskState::Created,
            Status::Running => TaskState::Running,
            Status::Stopped => TaskState::Stopped,
            Status::Paused | Status::Pausing => TaskState::Paused,
            Status::Unknown => TaskState::Unknown,
        };
        // List fills `id`, Get on some versions only `container_id`.
        let id = if process.id.is_empty() {
            process.container_id
        } else {
            process.id
        };
        Task {
            id,
            pid: process.pid,
            state,
            exit_status: process.exit_status,
        }
    }
}

fn of(id: &str, exec_id: &str) -> String {
    match exec_id {
        "" => format!("the process of {id}"),
        exec => format!("process {exec} of {id}"),
    }
}

/// A time that containerd left out, or that no calendar has, is now.
fn time(stamp: Option<prost_types::Timestamp>) -> Timestamp {
    let stamp = stamp.filter(|stamp| stamp.seconds > 0);
    stamp
        .and_then(|s| Timestamp::new(s.seconds, s.nanos).ok())
        .unwrap_or_else(Timestamp::now)
}
