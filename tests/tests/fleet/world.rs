//! Scripts that stand for executors, and fleets that start them.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use engine::aws::Aws;
use engine::project::EcsSettings;
use pacha_tests::ecs::{CLUSTER, DEFINITION, FakeEcs, REGION};
use scheduler::fleet::ecs::Tasks;
use scheduler::fleet::{EcsFleet, Fleet, Member, ProcessFleet};
use tempfile::TempDir;

/// Writes its arguments to a file of its name, and runs until its input is closed or it is told to end. It fails at once if
/// there is a file `crash`.
const EXECUTOR: &str = r#"
all="$*"
while [ $# -gt 0 ]; do
    if [ "$1" = --name ]; then name=$2; fi
    shift
done
if [ -e "$FOLDER/crash" ]; then exit 3; fi
echo "$all" >"$FOLDER/$name.new" && mv "$FOLDER/$name.new" "$FOLDER/$name"
exec cat
"#;

/// A folder in which executors leave their traces.
pub(crate) struct World {
    folder: TempDir,
}

impl World {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn folder(&self) -> PathBuf {
        self.folder.path().to_owned()
    }

    /// The arguments with which the executor of this name was started, once it has begun.
    pub(crate) async fn arguments(&self, name: &str) -> String {
        let file = self.folder.path().join(name);
        until("the executor has begun", async || std::fs::read_to_string(&file).ok()).await
    }

    pub(crate) fn crash(&self) {
        std::fs::write(self.folder.path().join("crash"), "").unwrap();
    }
}

fn script(folder: &Path) -> Command {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", EXECUTOR, "executor"]).env("FOLDER", folder).stdout(Stdio::null());
    command
}

/// A fleet of scripts on this machine.
pub(crate) fn processes(world: &World) -> ProcessFleet {
    let folder = world.folder();
    ProcessFleet::new(Box::new(move |name| {
        let mut command = script(&folder);
        command.args(["executor", "--scheduler", "df://127.0.0.1:50050", "--name", name, "--vcores", "2"]);
        command
    }))
}

/// A fleet on a cluster that always looks anew.
pub(crate) fn tasks(ecs: &FakeEcs) -> EcsFleet {
    tasks_with(ecs, |_| {})
}

pub(crate) fn tasks_with(ecs: &FakeEcs, change: impl FnOnce(&mut EcsSettings)) -> EcsFleet {
    tasks_of("pacha-nightly", ecs, change).impatient()
}

/// The fleet of a name.
pub(crate) fn tasks_of(name: &str, ecs: &FakeEcs, change: impl FnOnce(&mut EcsSettings)) -> EcsFleet {
    tasks_for("df://10.0.0.7:50050", name, ecs, change)
}

/// The fleet of a name, of the scheduler at an address.
pub(crate) fn tasks_for(scheduler: &str, name: &str, ecs: &FakeEcs, change: impl FnOnce(&mut EcsSettings)) -> EcsFleet {
    let mut settings = EcsSettings {
        cluster: Some(CLUSTER.into()),
        task_definition: Some(DEFINITION.into()),
        subnets: vec!["subnet-1".into()],
        endpoint: Some(ecs.endpoint()),
        ..EcsSettings::default()
    };
    change(&mut settings);
    let arguments = vec!["--allow-plaintext".into()];
    let tasks = Tasks { started_by: name.into(), scheduler: scheduler.into(), vcores: 2, arguments };
    EcsFleet::new(Arc::new(Aws::with_credentials(FakeEcs::credentials(), REGION)), settings, tasks)
}

/// Its tasks are scripts on this machine.
pub(crate) fn with_scripts(ecs: &FakeEcs, world: &World) {
    let folder = world.folder();
    ecs.launch(Box::new(move |arguments| {
        let mut command = script(&folder);
        command.args(arguments);
        command
    }));
}

/// The members of a fleet once they are as wanted.
pub(crate) async fn members_once(fleet: &dyn Fleet, what: &str, wanted: impl Fn(&[Member]) -> bool) -> Vec<Member> {
    until(what, async || Some(fleet.members().await.unwrap()).filter(|members| wanted(members))).await
}

/// What `look` finds, looked for again and again.
pub(crate) async fn until<T>(what: &str, look: impl AsyncFn() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(begun.elapsed() < Duration::from_secs(30), "not in 30 s: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
