//! Real NATS servers on loopback ports that speak MQTT, alone or as a cluster that stores everything on each of its nodes.
//! A test that finds no `nats-server` fails with a hint.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::mosquitto::{HINT as MOSQUITTO_HINT, PATIENCE, Subscriber, free_port};

const HINT: &str =
    "the tests with NATS need its server: sudo apt-get install nats-server (or scripts/packages.sh test)";

/// What the servers are waited for: three must elect leaders for each stream and each consumer.
const LEADERS: Duration = Duration::from_secs(30);

/// Servers that run together; killed when dropped.
pub struct Cluster {
    nodes: Vec<Node>,
    folder: tempfile::TempDir,
}

struct Node {
    /// Where it speaks MQTT.
    port: u16,
    child: Child,
}

impl Cluster {
    /// Starts so many servers; returns when each of them has stored a message for its clients.
    pub fn of(size: usize) -> Cluster {
        for _ in 0..5 {
            // The ports were free a moment ago; if somebody else was faster, others are tried.
            if let Some(cluster) = Cluster::try_start(size) {
                (0..size).for_each(|node| cluster.until_ready(node));
                return cluster;
            }
        }
        panic!("nats-server does not start");
    }

    fn try_start(size: usize) -> Option<Cluster> {
        let folder = tempfile::tempdir().unwrap();
        let routes: Vec<u16> = (0..size).map(|_| free_port()).collect();
        let list: Vec<String> = routes.iter().map(|port| format!("nats://127.0.0.1:{port}")).collect();
        let list = list.join(", ");
        let start = |(node, &route): (usize, &u16)| {
            let (port, own, store) = (free_port(), free_port(), folder.path().join(format!("store{node}")));
            let mut text = format!(
                "server_name: node{node}\nlisten: 127.0.0.1:{own}\n\
                 jetstream {{ store_dir: \"{}\", max_mem: 64M, max_file: 256M }}\n\
                 mqtt {{ listen: 127.0.0.1:{port}, stream_replicas: {size}, ack_wait: \"3s\" }}\n",
                store.display()
            );
            if size > 1 {
                text += &format!("cluster {{ name: test, listen: 127.0.0.1:{route}, routes: [{list}] }}\n");
            }
            let config = folder.path().join(format!("node{node}.conf"));
            std::fs::write(&config, text).unwrap();
            let log = std::fs::File::create(log_file(folder.path(), node)).unwrap();
            let mut command = Command::new("nats-server");
            command.arg("-c").arg(&config).stdout(log.try_clone().unwrap()).stderr(log);
            Node { port, child: command.spawn().expect(HINT) }
        };
        let nodes = routes.iter().enumerate().map(start).collect();
        let mut cluster = Cluster { nodes, folder };
        std::thread::sleep(Duration::from_millis(300));
        let all_run = cluster.nodes.iter_mut().all(|node| node.child.try_wait().unwrap().is_none());
        all_run.then_some(cluster)
    }

    /// The port at which a node speaks MQTT.
    pub fn port(&self, node: usize) -> u16 {
        self.nodes[node].port
    }

    /// `kill -9`.
    pub fn kill(&mut self, node: usize) {
        let child = &mut self.nodes[node].child;
        let _ = child.kill();
        let _ = child.wait();
    }

    /// What a node said so far.
    pub fn log(&self, node: usize) -> String {
        std::fs::read_to_string(log_file(self.folder.path(), node)).unwrap_or_default()
    }

    /// Until there are leaders a server hangs up, or accepts no message.
    fn until_ready(&self, node: usize) {
        let start = Instant::now();
        while !self.publish(node, "ready", "1") {
            assert!(start.elapsed() < LEADERS, "NATS accepts nothing in time; its log:\n{}", self.log(node));
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Publishes with mosquitto's client, QoS 1; whether the node acknowledged it.
    pub fn publish(&self, node: usize, topic: &str, payload: &str) -> bool {
        let mut command = Command::new("timeout");
        command.args(["5", "mosquitto_pub", "-V", "311", "-h", "127.0.0.1", "-q", "1"]);
        command.args(["-p", &self.port(node).to_string(), "-t", topic, "-m", payload]);
        command.stderr(Stdio::null()).status().expect(MOSQUITTO_HINT).success()
    }

    /// Subscribes at a node with mosquitto's client and a session that outlives a connection.
    pub fn subscribe(&self, node: usize, id: &str, filter: &str) -> Subscriber {
        let mut command = Command::new("mosquitto_sub");
        command.args(["-V", "311", "-h", "127.0.0.1", "-p", &self.port(node).to_string(), "-c", "-i", id]);
        command.args(["-q", "1", "-t", filter, "-F", "%r %q %t %p"]);
        Subscriber::start(command)
    }

    /// [`Cluster::subscribe`]; returns when what is published at another node arrives. The filter must take `probe`.
    pub fn subscribed(&self, node: usize, id: &str, filter: &str, probe: &str) -> Subscriber {
        let subscriber = self.subscribe(node, id, filter);
        let (start, other) = (Instant::now(), (node + 1) % self.nodes.len());
        loop {
            self.publish(other, probe, "probe");
            if subscriber.poll(Duration::from_millis(300)).is_some() {
                while subscriber.poll(Duration::from_millis(300)).is_some() {}
                return subscriber;
            }
            assert!(start.elapsed() < PATIENCE, "the subscription at node {node} hears nothing");
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for node in 0..self.nodes.len() {
            self.kill(node);
            if std::thread::panicking() {
                eprintln!("--- log of NATS' node {node} ---\n{}", self.log(node));
            }
        }
    }
}

fn log_file(folder: &Path, node: usize) -> std::path::PathBuf {
    folder.join(format!("node{node}.log"))
}
