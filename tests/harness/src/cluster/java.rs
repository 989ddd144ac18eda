//! The command that runs a node.

use std::path::Path;
use std::process::Command;

use super::options::ClusterOptions;

/// The packages of the JDK that Cassandra 5 uses: `--add-opens` and `--add-exports` of its own start script.
const OPENS: &[&str] = &[
    "java.base/java.io",
    "java.base/java.lang",
    "java.base/java.lang.module",
    "java.base/java.lang.reflect",
    "java.base/java.math",
    "java.base/java.net",
    "java.base/java.nio",
    "java.base/java.util",
    "java.base/java.util.concurrent",
    "java.base/java.util.concurrent.atomic",
    "java.base/jdk.internal.loader",
    "java.base/jdk.internal.math",
    "java.base/jdk.internal.module",
    "java.base/jdk.internal.ref",
    "java.base/jdk.internal.reflect",
    "java.base/jdk.internal.util.jar",
    "java.base/sun.nio.ch",
    "jdk.management/com.sun.management.internal",
];
const EXPORTS: &[&str] = &[
    "java.base/java.lang.ref",
    "java.base/jdk.internal.misc",
    "java.base/jdk.internal.ref",
    "java.base/jdk.internal.util.jar",
    "java.base/sun.nio.ch",
    "java.management.rmi/com.sun.jmx.remote.internal.rmi",
    "java.rmi/sun.rmi.registry",
    "java.rmi/sun.rmi.server",
    "java.rmi/sun.rmi.transport.tcp",
    "java.sql/java.sql",
    "jdk.attach/sun.tools.attach",
    "jdk.compiler/com.sun.tools.javac.file",
    "jdk.unsupported/sun.misc",
];

/// The main class of a node.
pub(super) const MAIN: &str = "org.apache.cassandra.service.CassandraDaemon";

/// The arguments of a node whose files are in `directory`; `first` when it has no data yet. Without JMX: it would take
/// a port beside those of the settings.
pub(super) fn arguments(java: &mut Command, jars: &Path, directory: &Path, options: &ClusterOptions, first: bool) {
    let home = directory.display();
    java.arg(format!("-Xmx{}", options.heap));
    // Room for everything that a start loads: growing to it by collections would cost a sixth of the start.
    java.args(["-Xms96M", "-XX:NewSize=40M", "-XX:MetaspaceSize=96M"]);
    java.args(["-XX:+UseSerialGC", "-XX:+ExitOnOutOfMemoryError", "-XX:-UsePerfData"]);
    if options.quick_start {
        java.arg("-XX:TieredStopAtLevel=1");
    }
    for package in OPENS {
        java.arg(format!("--add-opens={package}=ALL-UNNAMED"));
    }
    for package in EXPORTS {
        java.arg(format!("--add-exports={package}=ALL-UNNAMED"));
    }
    java.args([
        format!("-Djava.io.tmpdir={home}"),
        format!("-Dlogback.configurationFile={home}/logback.xml"),
        format!("-Dcassandra.config=file://{home}/cassandra.yaml"),
        format!("-Dcassandra-rackdc.properties=file://{home}/rackdc.properties"),
        format!("-Dcassandra.storagedir={home}"),
        // How long a node waits for the first node: at its own first start until that is up too, afterwards briefly.
        format!("-Dcassandra.ring_delay_ms={}", if first { 60_000 } else { 1_000 }),
        // How often it tries to add the first user or, on a restart, to find it, until the other replicas answer.
        format!("-Dcassandra.superuser_setup_delay_ms={}", if first { 100 } else { 10_000 }),
    ]);
    java.args([
        "-Dcassandra-foreground=yes",
        "-Dcassandra.skip_wait_for_gossip_to_settle=0",
        "-Dcassandra.shutdown_announce_in_ms=100",
        "-Djdk.attach.allowAttachSelf=true",
        "-Dio.netty.tryReflectionSetAccessible=true",
    ]);
    // The last of two equal settings counts.
    java.args(&options.jvm);
    java.arg("-cp").arg(jars.join("*")).arg(MAIN);
}
