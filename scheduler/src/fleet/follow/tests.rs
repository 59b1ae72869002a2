//! A fleet in memory, a scheduler that is a list, and time as it is said.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::sync::Mutex;

use async_trait::async_trait;
use engine::error::{Error, Result};
use prometheus::Registry;
use tokio::sync::oneshot;

use super::*;
use crate::fleet::Started;

/// What the scheduler sees, and who is fenced.
#[derive(Debug, Default)]
struct World {
    sight: Mutex<Sight>,
    fenced: Mutex<BTreeSet<String>>,
    members: Mutex<Vec<Member>>,
    stopped: Mutex<Vec<String>>,
    refuse: Mutex<bool>,
    begun: Mutex<usize>,
    shown: Mutex<FleetView>,
    /// Whoever asks for the members gets no answer; the first who does is told here.
    silent: Mutex<Option<oneshot::Sender<()>>>,
}

#[derive(Debug)]
struct FakeFleet(Arc<World>);

#[async_trait]
impl Fleet for FakeFleet {
    fn name(&self) -> &'static str {
        "fake"
    }

    async fn members(&self) -> Result<Vec<Member>> {
        let silent = self.0.silent.lock().unwrap().take();
        if let Some(asked) = silent {
            asked.send(()).unwrap();
            std::future::pending::<()>().await;
        }
        let mut members = self.0.members.lock().unwrap();
        let now = members.clone();
        members.retain(|member| member.ended.is_none());
        Ok(now)
    }

    async fn start(&self, count: usize) -> Started {
        if *self.0.refuse.lock().unwrap() {
            return Started { members: Vec::new(), failure: Some(Error::failed(Problem::error("PK744", "no capacity"))) };
        }
        let mut begun = self.0.begun.lock().unwrap();
        let new = (0..count).map(|index| Member { name: format!("m{}", *begun + index), place: "memory".into(), ended: None });
        let new: Vec<Member> = new.collect();
        *begun += count;
        self.0.members.lock().unwrap().extend(new.clone());
        Started { members: new, failure: None }
    }

    async fn stop(&self, members: &[Member]) -> Result<()> {
        for member in self.0.members.lock().unwrap().iter_mut() {
            if members.iter().any(|stopped| stopped.name == member.name) {
                member.ended = Some("exit status 0".into());
                self.0.stopped.lock().unwrap().push(member.name.clone());
            }
        }
        Ok(())
    }
}

impl World {
    fn keeper(self: &Arc<Self>, fleet: bool, registry: &Registry) -> Keeper {
        let fleet = fleet.then(|| Arc::new(FakeFleet(Arc::clone(self))) as Arc<dyn Fleet>);
        Keeper::new(fleet, &settings(), self.view(), Some(FleetMetrics::new(registry).unwrap()))
    }

    fn view(self: &Arc<Self>) -> View {
        let (seen, fenced, shown) = (Arc::clone(self), Arc::clone(self), Arc::clone(self));
        View {
            see: Box::new(move || {
                let sight = seen.sight.lock().unwrap().clone();
                Box::pin(async move { sight })
            }),
            fence: Box::new(move |id, on| {
                let mut set = fenced.fenced.lock().unwrap();
                if on {
                    set.insert(id)
                } else {
                    set.remove(&id)
                };
                Box::pin(async {})
            }),
            work: Box::new(|| Box::pin(std::future::pending())),
            show: Box::new(move |view| *shown.shown.lock().unwrap() = view),
        }
    }

    /// Every member is registered, and the tasks are shared out among them.
    fn register(&self, tasks: usize) {
        let members = self.members.lock().unwrap();
        let mut sight = self.sight.lock().unwrap();
        sight.executors = members
            .iter()
            .filter(|member| member.ended.is_none())
            .enumerate()
            .map(|(index, member)| {
                let running = (tasks / members.len() + usize::from(index < tasks % members.len())).min(2);
                let id = format!("pacha-abc-{}", member.name);
                ExecutorView { id, vcores: 2, running: running as u32, ..ExecutorView::default() }
            })
            .collect();
        sight.tasks = tasks;
    }
}

fn settings() -> FleetSettings {
    FleetSettings { max: Some(4), tasks_per_vcore: NonZeroUsize::new(2), idle: Some(Duration::from_secs(60)), ..FleetSettings::default() }
}

fn metric(registry: &Registry, name: &str) -> f64 {
    let families = registry.gather();
    let family = families.iter().find(|family| family.name() == format!("pacha_fleet_{name}")).unwrap();
    let metric = &family.get_metric()[0];
    metric.get_gauge().get_value() + metric.get_counter().get_value()
}

#[tokio::test]
async fn a_fleet_goes_from_none_to_many_and_back_to_none() {
    let (world, registry) = (Arc::new(World::default()), Registry::new());
    let mut keeper = world.keeper(true, &registry);
    let seconds = Duration::from_secs;
    keeper.look(seconds(0)).await;
    assert_eq!(*world.begun.lock().unwrap(), 0);
    world.sight.lock().unwrap().tasks = 12;
    keeper.look(seconds(1)).await;
    assert_eq!((*world.begun.lock().unwrap(), metric(&registry, "starting")), (3, 3.0), "four tasks to an executor");
    keeper.look(seconds(2)).await;
    assert_eq!(*world.begun.lock().unwrap(), 3, "not twice");
    world.register(12);
    keeper.look(seconds(3)).await;
    assert_eq!((metric(&registry, "present"), metric(&registry, "tasks")), (3.0, 12.0));
    world.register(0);
    for second in 4..63 {
        keeper.look(seconds(second)).await;
        assert!(world.stopped.lock().unwrap().is_empty(), "stopped in second {second}");
    }
    keeper.look(seconds(63)).await;
    assert_eq!((world.stopped.lock().unwrap().len(), world.fenced.lock().unwrap().len()), (3, 3));
    keeper.look(seconds(64)).await;
    assert_eq!(["wanted", "present", "starting", "draining"].map(|name| metric(&registry, name)), [0.0; 4]);
    assert_eq!(metric(&registry, "executor_seconds_total"), 3.0 * 63.0);
    assert_eq!(metric(&registry, "started_total"), 3.0);
}

#[tokio::test]
async fn an_executor_that_gets_a_task_while_it_is_fenced_is_not_stopped() {
    let (world, registry) = (Arc::new(World::default()), Registry::new());
    let mut keeper = world.keeper(true, &registry);
    world.sight.lock().unwrap().tasks = 8;
    keeper.look(Duration::ZERO).await;
    world.register(0);
    for second in 1..61 {
        keeper.look(Duration::from_secs(second)).await;
    }
    // A task that was given out just before the fence went up is seen only after it.
    let given = Arc::clone(&world);
    keeper.view.fence = Box::new(move |id, _| {
        let mut sight = given.sight.lock().unwrap();
        for executor in sight.executors.iter_mut().filter(|executor| executor.id == id && id == "pacha-abc-m0") {
            executor.running = 1;
        }
        Box::pin(async {})
    });
    keeper.look(Duration::from_secs(61)).await;
    assert_eq!(*world.stopped.lock().unwrap(), ["m1"]);
}

#[tokio::test]
async fn a_start_that_is_refused_is_tried_again_after_a_pause() {
    let (world, registry) = (Arc::new(World::default()), Registry::new());
    let mut keeper = world.keeper(true, &registry);
    *world.refuse.lock().unwrap() = true;
    world.sight.lock().unwrap().tasks = 1;
    for second in 0..2 {
        keeper.look(Duration::from_secs(second)).await;
    }
    assert_eq!(metric(&registry, "failed_total"), 1.0);
    let trouble = || world.shown.lock().unwrap().trouble.clone().map(|trouble| trouble.message);
    assert_eq!(trouble().as_deref(), Some("no capacity"), "who waits is told");
    *world.refuse.lock().unwrap() = false;
    keeper.look(Duration::from_secs(2)).await;
    assert_eq!(*world.begun.lock().unwrap(), 1);
    world.register(1);
    keeper.look(Duration::from_secs(3)).await;
    assert_eq!(trouble(), None, "until one comes");
}

#[tokio::test]
async fn without_a_fleet_the_metrics_still_say_how_many_there_should_be() {
    let (world, registry) = (Arc::new(World::default()), Registry::new());
    let mut keeper = world.keeper(false, &registry);
    world.sight.lock().unwrap().tasks = 9;
    keeper.look(Duration::ZERO).await;
    assert_eq!((metric(&registry, "wanted"), metric(&registry, "present")), (3.0, 0.0));
    *world.sight.lock().unwrap() = Sight {
        executors: (0..3).map(|index| ExecutorView { id: format!("x{index}"), vcores: 2, ..ExecutorView::default() }).collect(),
        tasks: 0,
    };
    for second in 1..62 {
        keeper.look(Duration::from_secs(second)).await;
    }
    assert_eq!((metric(&registry, "wanted"), metric(&registry, "executor_seconds_total")), (0.0, 180.0));
}

#[tokio::test]
async fn the_end_of_the_scheduler_is_the_end_of_its_fleet() {
    let (world, registry) = (Arc::new(World::default()), Registry::new());
    let mut keeper = world.keeper(true, &registry);
    world.sight.lock().unwrap().tasks = 8;
    keeper.look(Duration::ZERO).await;
    world.register(8);
    keeper.look(Duration::from_secs(1)).await;
    keeper.end().await;
    assert_eq!(world.stopped.lock().unwrap().len(), 2, "they finish what they run by themselves");
}

#[tokio::test]
async fn a_stop_does_not_wait_for_a_look_that_gets_no_answer() {
    let (asked, told) = oneshot::channel();
    let world = Arc::new(World { silent: Mutex::new(Some(asked)), ..World::default() });
    // One that nobody has looked at yet.
    world.members.lock().unwrap().push(Member { name: "m0".into(), place: "memory".into(), ended: None });
    let fleet = Arc::new(FakeFleet(Arc::clone(&world)));
    let stop = async { told.await.unwrap() };
    follow(Some(fleet), &settings(), world.view(), None, stop).await;
    assert_eq!(*world.stopped.lock().unwrap(), ["m0"]);
}
