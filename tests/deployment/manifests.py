"""Checks manifests of Kubernetes:   manifests.py CRDS FILE...

Each object against its schema, and nothing that the schema does not know: Kubernetes' own from the package
kubernetes-validate, those of the Prometheus Operator from the folder CRDS of its Go module, ScyllaCluster's from
scyllacluster.schema.json beside this file. Then what no schema says: the chart's promises below. Prints each fault;
exit code 1 if there is one.
"""

import json
import re
import sys
from pathlib import Path

import jsonschema
import kubernetes_validate
import yaml

KUBERNETES = "1.33"
WORKLOADS = ("StatefulSet", "Deployment", "Job")


def closed(schema):
    """A CRD's schema that refuses unknown fields, as `kubectl apply` does."""
    if isinstance(schema, list):
        return [closed(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    result = {key: closed(part) for key, part in schema.items()}
    if isinstance(schema.get("properties"), dict) and not schema.get("x-kubernetes-preserve-unknown-fields"):
        result.setdefault("additionalProperties", False)
    return result


def schemas(crds):
    found = {}
    for kind in ("servicemonitors", "prometheusrules"):
        crd = yaml.safe_load((Path(crds) / f"monitoring.coreos.com_{kind}.yaml").read_text())
        for version in crd["spec"]["versions"]:
            schema = closed(version["schema"]["openAPIV3Schema"])
            # A CRD leaves to Kubernetes what every object has.
            schema["properties"]["metadata"] = {"type": "object"}
            found[f"{crd['spec']['group']}/{version['name']}", crd["spec"]["names"]["kind"]] = schema
    own = json.loads((Path(__file__).parent / "scyllacluster.schema.json").read_text())
    return found | {("scylla.scylladb.com/v1", "ScyllaCluster"): own}


def schema_faults(found, custom):
    kind = found["apiVersion"], found["kind"]
    if kind in custom:
        for error in jsonschema.Draft7Validator(custom[kind]).iter_errors(found):
            yield f"{error.json_path}: {error.message}"
        return
    try:
        kubernetes_validate.validate(found, KUBERNETES, strict=True)
    except kubernetes_validate.ValidationError as error:
        yield str(error).splitlines()[0]
    except kubernetes_validate.SchemaNotFoundError:
        yield "no such kind of object"


def pod_faults(pod):
    """What the restricted Pod Security Standard refuses, and the chart's own promises."""
    security = pod.get("securityContext", {})
    if not security.get("runAsNonRoot") or security.get("seccompProfile", {}).get("type") != "RuntimeDefault":
        yield "the pod may run as root, or without a seccomp profile"
    if pod.get("automountServiceAccountToken", True) or pod.get("enableServiceLinks", True):
        yield "the pod gets a token of the API, or variables of services"
    for volume in pod.get("volumes", []):
        if set(volume) - {"name"} - {"configMap", "secret", "projected", "emptyDir", "persistentVolumeClaim"}:
            yield f"volume {volume['name']} is of a kind that is refused"
    for container in pod["containers"]:
        security = container.get("securityContext", {})
        if security.get("allowPrivilegeEscalation", True) or security.get("capabilities", {}).get("drop") != ["ALL"]:
            yield "a container may gain privileges"
        if not security.get("readOnlyRootFilesystem"):
            yield "a container may write to its image"
        if not container.get("resources", {}).get("limits", {}).get("memory"):
            yield "a container has no limit of memory"
        for variable in container.get("env", []):
            is_secret = any(word in variable["name"] for word in ("PASSWORD", "SECRET", "PIN"))
            if is_secret and not variable.get("value", "{ file = ").startswith("{ file = "):
                yield f"{variable['name']} is written out: secrets are named, not given"


def selects(selector, labels):
    expressions = selector.get("matchExpressions", [])
    return all(labels.get(key) == value for key, value in selector.get("matchLabels", {}).items()) and all(
        labels.get(each["key"]) in each["values"] for each in expressions if each["operator"] == "In")


def allows(policies, direction, ours, theirs, port):
    """Whether a policy of the pods labelled `ours` allows `port`, its name or number, from or to those of `theirs`."""
    peers = {"ingress": "from", "egress": "to"}[direction]
    rules = [rule for policy in policies if selects(policy["podSelector"], ours) for rule in policy.get(direction, [])]
    return any(
        any(selects(peer["podSelector"], theirs) for peer in rule.get(peers, []) if "podSelector" in peer)
        and {each["port"] for each in rule["ports"]} & set(port) for rule in rules)


def unreachable(pods, policies):
    """Addresses of other pods in a container's variables that the policies keep it from reaching."""
    for name, pod in pods.items():
        variables = [v.get("value", "") for each in pod["spec"]["containers"] for v in each.get("env", [])]
        found = re.findall(r"([a-z-]+?)(?:-\d+\.[a-z-]+\.[a-z]+\.svc\.cluster\.local)?:(\d+)", " ".join(variables))
        for workload, number in sorted({each for each in found if each[0] in pods}):
            ports = [p for each in pods[workload]["spec"]["containers"] for p in each["ports"]]
            port = [key for p in ports if p["containerPort"] == int(number) for key in (p["name"], int(number))]
            ours, theirs = (p["metadata"]["labels"] for p in (pod, pods[workload]))
            both = allows(policies, "egress", ours, theirs, port), allows(policies, "ingress", theirs, ours, port)
            if not all(both):
                yield f"{name}: does not reach {workload}:{number}"


def chart_faults(objects):
    """What has to fit between objects of one rendered chart."""
    pods = {o["metadata"]["name"]: o["spec"]["template"] for o in objects if o["kind"] in WORKLOADS}
    services = [o for o in objects if o["kind"] == "Service"]
    labels = [pod["metadata"]["labels"] for pod in pods.values()]
    for o in objects:
        name, spec = f"{o['kind']} {o['metadata']['name']}", o.get("spec", {})
        if o["kind"] == "Secret":
            yield f"{name}: secrets are made by the operator, not by the chart"
        if o["kind"] in WORKLOADS:
            yield from (f"{name}: {fault}" for fault in pod_faults(spec["template"]["spec"]))
        if o["kind"] == "Service":
            ports = [port["targetPort"] for port in spec["ports"]]
            selector = {"matchLabels": spec["selector"]}
            chosen = [pod for pod in pods.values() if selects(selector, pod["metadata"]["labels"])]
            named = {port["name"] for pod in chosen for each in pod["spec"]["containers"] for port in each["ports"]}
            if not chosen or not set(ports) <= named:
                yield f"{name}: selects {len(chosen)} pods, whose ports are {sorted(named)}"
        if o["kind"] in ("PodDisruptionBudget", "NetworkPolicy"):
            selector = spec.get("selector", spec.get("podSelector"))
            if not any(selects(selector, each) for each in labels):
                yield f"{name}: selects no pod"
        if o["kind"] == "HorizontalPodAutoscaler" and spec["scaleTargetRef"]["name"] not in pods:
            yield f"{name}: scales nothing"
    monitors = [o["spec"] for o in objects if o["kind"] == "ServiceMonitor"]
    scraped = [{"matchLabels": service["spec"]["selector"]} for monitor in monitors for service in services
               if selects(monitor["selector"], service["metadata"]["labels"])
               and {port["name"] for port in service["spec"]["ports"] if port["targetPort"] == "admin"}
               & {endpoint["port"] for endpoint in monitor["endpoints"]}]
    for name, pod in pods.items():
        ports = {port["name"] for each in pod["spec"]["containers"] for port in each.get("ports", [])}
        is_scraped = any(selects(selector, pod["metadata"]["labels"]) for selector in scraped)
        if monitors and "admin" in ports and not is_scraped:
            yield f"{name}: no monitor scrapes it"
    policies = [o["spec"] for o in objects if o["kind"] == "NetworkPolicy"]
    for name, pod in pods.items():
        directions = {d for policy in policies if selects(policy["podSelector"], pod["metadata"]["labels"])
                      for d in policy["policyTypes"]}
        if policies and directions != {"Ingress", "Egress"}:
            yield f"{name}: may send or receive whatever it likes"
    yield from unreachable(pods, policies)


def main(crds, files):
    custom, faults = schemas(crds), []
    for file in files:
        objects = [found for found in yaml.safe_load_all(Path(file).read_text()) if found]
        for found in objects:
            where = f"{file}: {found['kind']} {found['metadata']['name']}"
            faults += [f"{where}: {fault}" for fault in schema_faults(found, custom)]
        faults += [f"{file}: {fault}" for fault in chart_faults(objects)]
        print(f"{file}: {len(objects)} objects")
        faults += [] if objects else [f"{file}: no objects"]
    sys.exit("\n".join(faults) or 0)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
