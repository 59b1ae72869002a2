"""Holds the files of this folder against the schemas of what reads them, and against each other. See `check`."""

import copy
import itertools
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import botocore.loaders
import botocore.model
import botocore.validate
import compose_spec
import kubernetes_validate
import yaml
from cloudcoil.models.keda import v1alpha1 as keda

HERE = Path(__file__).resolve().parent
KUBERNETES = "1.33"
mistakes: list[str] = []


def expect(good: object, message: str) -> None:
    """Notes a mistake unless `good`."""
    if not good:
        mistakes.append(message)


class Strict(yaml.SafeLoader):
    """Refuses a key that is there twice, of which YAML would keep the last."""


def no_duplicates(loader: Strict, node: yaml.MappingNode, deep: bool = False) -> dict:
    """A mapping whose keys differ."""
    keys = [key.value for key, _ in node.value if key.tag != "tag:yaml.org,2002:merge"]
    if twice := [key for key in keys if keys.count(key) > 1]:
        raise yaml.YAMLError(f"line {node.start_mark.line + 1}: {twice[0]} is there twice")
    loader.flatten_mapping(node)
    return yaml.SafeLoader.construct_mapping(loader, node, deep)


Strict.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, no_duplicates)


def documents(path: Path) -> list[dict]:
    """The documents of a YAML file."""
    return [document for document in yaml.load_all(path.read_text(), Strict) if document]


# Kubernetes


def kubernetes() -> list[list[str]]:
    """Checks the manifests; returns the commands of their containers."""
    files = sorted((HERE / "kubernetes").glob("*.yaml"))
    manifests = [(path.name, one) for path in files if path.name != "kustomization.yaml" for one in documents(path)]
    for name, one in manifests:
        where = f"kubernetes/{name}: {one['kind']} {one['metadata']['name']}"
        if one["apiVersion"].startswith("keda.sh/"):
            check_keda(one, where)
            continue
        try:
            kubernetes_validate.validate(one, KUBERNETES, strict=True)
        except (kubernetes_validate.ValidationError, kubernetes_validate.SchemaNotFoundError) as error:
            expect(False, f"{where}: {error}")
        expect(one["kind"] == "Namespace" or one["metadata"].get("namespace") == "pacha", f"{where}: not in the namespace pacha")
    (kustomization,) = documents(HERE / "kubernetes" / "kustomization.yaml")
    for name in kustomization["resources"]:
        expect((HERE / "kubernetes" / name).exists(), f"kustomization.yaml: there is no {name}")
    return agree_in_kubernetes([one for _, one in manifests])


def check_keda(one: dict, where: str) -> None:
    """A ScaledObject: of the right form, and nothing that the model drops because it does not know it."""
    try:
        read = keda.ScaledObject.model_validate(copy.deepcopy(one))
    except ValueError as error:
        expect(False, f"{where}: {error}")
        return
    kept = json.loads(read.model_dump_json(by_alias=True, exclude_none=True))
    expect(leaves(one) <= leaves(kept), f"{where}: unknown keys {sorted(leaves(one) - leaves(kept))}")


def leaves(value: object, at: str = "") -> set[str]:
    """The paths of all scalars."""
    if isinstance(value, dict):
        return set(itertools.chain.from_iterable(leaves(inner, f"{at}.{key}") for key, inner in value.items()))
    if isinstance(value, list):
        return set(itertools.chain.from_iterable(leaves(inner, f"{at}.{index}") for index, inner in enumerate(value)))
    return {at}


def agree_in_kubernetes(manifests: list[dict]) -> list[list[str]]:
    """What must agree between the manifests; returns the commands of their containers."""

    def of(kind: str) -> dict[str, dict]:
        return {one["metadata"]["name"]: one for one in manifests if one["kind"] == kind}

    deployments, accounts, settings = of("Deployment"), of("ServiceAccount"), of("ConfigMap")
    commands = []
    workloads = [(name, one["spec"]["template"], one["spec"]["selector"]["matchLabels"]) for name, one in deployments.items()]
    workloads += [(name, one["spec"]["jobTemplate"]["spec"]["template"], {}) for name, one in of("CronJob").items()]
    for name, template, selector in workloads:
        labels, spec = template["metadata"]["labels"], template["spec"]
        expect(selector.items() <= labels.items(), f"{name}: its selector does not select its pods")
        expect(spec["serviceAccountName"] in accounts, f"{name}: there is no service account {spec['serviceAccountName']}")
        volumes = {volume["name"]: volume for volume in spec["volumes"]}
        for volume in volumes.values():
            expect("configMap" not in volume or volume["configMap"]["name"] in settings, f"{name}: no ConfigMap for {volume['name']}")
        for container in spec["containers"]:
            ports = {port["name"] for port in container.get("ports", [])}
            for probe in ("readinessProbe", "livenessProbe"):
                port = container.get(probe, {}).get("httpGet", {}).get("port")
                expect(port is None or port in ports, f"{name}: its {probe} asks port {port}, which it does not have")
            for mount in container["volumeMounts"]:
                expect(mount["name"] in volumes, f"{name}: there is no volume {mount['name']}")
            commands.append(container["args"])
            grace = flag(container["args"], "--grace")
            longer = grace is None or spec["terminationGracePeriodSeconds"] > seconds(grace)
            expect(longer, f"{name}: terminationGracePeriodSeconds is not longer than --grace {grace}")
    for name, service in of("Service").items():
        selected = [one for one in deployments.values() if service["spec"]["selector"].items() <= one["spec"]["template"]["metadata"]["labels"].items()]
        expect(len(selected) == 1, f"Service {name}: it selects {len(selected)} deployments")
        ports = {port["name"] for one in selected for container in one["spec"]["template"]["spec"]["containers"] for port in container["ports"]}
        for port in service["spec"]["ports"]:
            expect(port["targetPort"] in ports, f"Service {name}: nobody has a port {port['targetPort']}")
    toml = settings["pacha-settings"]["data"]["pacha.toml"]
    executor = deployments["pacha-executor"]["spec"]["template"]["spec"]["containers"][0]["args"]
    expect(f"vcores = {flag(executor, '--vcores')}\n" in toml, "settings.yaml: fleet.vcores is not --vcores of the executors")
    for kind in ("ScaledObject", "HorizontalPodAutoscaler"):
        for one in of(kind).values():
            spec = one["spec"]
            expect(spec["scaleTargetRef"]["name"] in deployments, f"{kind}: it scales nobody")
            most = spec.get("maxReplicaCount", spec.get("maxReplicas"))
            expect(f"max = {most}\n" in toml, f"{kind}: its most is not fleet.max of settings.yaml")
            expect("pacha_fleet_wanted" in json.dumps(spec), f"{kind}: it does not scale by pacha_fleet_wanted")
    source = (HERE.parent / "src" / "fleet" / "metrics.rs").read_text()
    expect('"pacha_fleet_{name}"' in source and 'gauge("wanted"' in source, "the scheduler has no metric pacha_fleet_wanted")
    try_settings(toml)
    return commands


# Compose


def compose() -> list[list[str]]:
    """Checks the Compose files, the second one merged into the first; returns the commands of their containers."""
    (plain,) = documents(HERE / "docker-compose.yaml")
    (more,) = documents(HERE / "docker-compose.tls.yaml")
    more["services"]["executor-2"] = merged(plain["services"]["executor"], {k: v for k, v in more["services"]["executor-2"].items() if k != "extends"})
    commands = []
    for name, one in (("docker-compose.yaml", plain), ("docker-compose.tls.yaml", merged(plain, more))):
        one = {key: value for key, value in one.items() if not key.startswith("x-")}
        # Variables, as they are if nobody sets them.
        text = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", yaml.safe_dump(one))
        try:
            compose_spec.PyCompose.from_yaml(text).validate()
        except Exception as error:  # noqa: BLE001 (the package has no error of its own)
            expect(False, f"{name}: {error}")
        for service, spec in one["services"].items():
            where = f"{name}: {service}"
            command = spec.get("command")
            if command:
                commands.append([str(word) for word in command])
                grace = flag(commands[-1], "--grace")
                longer = grace is None or seconds(spec["stop_grace_period"]) > seconds(grace)
                expect(longer, f"{where}: stop_grace_period is not longer than --grace {grace}")
            for port in spec.get("ports", []):
                expect(port.startswith("127.0.0.1:"), f"{where}: port {port} is published to other machines")
            for network in spec.get("networks", []):
                expect(network in one["networks"], f"{where}: there is no network {network}")
            for other in spec.get("depends_on", {}):
                expect(other in one["services"], f"{where}: there is no service {other}")
    return commands


def merged(below: object, above: object) -> object:
    """As Compose merges files: mappings key by key, commands and other lists as they are in the second, but for volumes and networks."""
    if isinstance(below, list) and isinstance(above, dict):
        below = {name: None for name in below}
    if isinstance(below, dict) and isinstance(above, dict):
        both = {key: merged(below[key], above[key]) for key in below if key in above}
        return {**below, **above, **both}
    return above


# ECS


def ecs() -> list[list[str]]:
    """Checks the requests to ECS and the policies; returns the commands of the containers."""
    model = botocore.model.ServiceModel(botocore.loaders.Loader().load_service_model("ecs", "service-2"), "ecs")
    requests = {"executor-task.json": "RegisterTaskDefinition", "scheduler-task.json": "RegisterTaskDefinition", "scheduler-service.json": "CreateService"}
    commands, definitions = [], {}
    for name, operation in requests.items():
        request = json.loads((HERE / "ecs" / name).read_text())
        report = botocore.validate.ParamValidator().validate(request, model.operation_model(operation).input_shape)
        expect(not report.has_errors(), f"ecs/{name}: {report.generate_report()}")
        definitions[name] = request
        for container in request.get("containerDefinitions", []):
            commands.append(container["command"])
            expect(container["name"] == "pacha", f"ecs/{name}: fleet.ecs.container is pacha unless it is set")
    check_fargate(definitions)
    policy = json.loads((HERE / "ecs" / "scheduler-policy.json").read_text())
    for statement in policy["Statement"]:
        actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
        for action in actions:
            service, operation = action.split(":")
            expect(service != "ecs" or operation in model.operation_names, f"scheduler-policy.json: ECS has no {operation}")
        expect("Condition" in statement, f"scheduler-policy.json: {statement['Sid']} holds everywhere")
    json.loads((HERE / "ecs" / "trust-policy.json").read_text())
    return commands


def check_fargate(definitions: dict[str, dict]) -> None:
    """What Fargate sells, and what the scheduler says of its executors."""
    memory = {"256": range(512, 2049), "512": range(1024, 4097), "1024": range(2048, 8193), "2048": range(4096, 16385), "4096": range(8192, 30721)}
    for name in ("executor-task.json", "scheduler-task.json"):
        one = definitions[name]
        expect(int(one["memory"]) in memory[one["cpu"]], f"ecs/{name}: Fargate has no {one['cpu']} with {one['memory']} MB")
        for container in one["containerDefinitions"]:
            expect(container["stopTimeout"] <= 120, f"ecs/{name}: Fargate waits 120 s at most")
    executor, (scheduler,) = definitions["executor-task.json"], definitions["scheduler-task.json"]["containerDefinitions"]
    text = " ".join(scheduler["command"])
    expect(f"fleet.vcores={int(executor['cpu']) // 1024} " in text, "ecs/scheduler-task.json: fleet.vcores is not the vCPU of the executors")
    expect(f"fleet.ecs.task_definition={executor['family']} " in text, "ecs/scheduler-task.json: it starts another task definition")
    (arguments,) = re.findall(r"fleet\.ecs\.arguments=(\[.*\])", text)
    grace = flag(json.loads(arguments), "--grace")
    expect(seconds(grace) < executor["containerDefinitions"][0]["stopTimeout"], "ecs: stopTimeout of the executors is not longer than --grace")
    try_flags([["executor", "--scheduler", "df://h:1", "--name", "n", "--vcores", "2", *json.loads(arguments)]])


# What they run


def flag(arguments: list[str], name: str) -> str | None:
    """The value of a flag."""
    return arguments[arguments.index(name) + 1] if name in arguments else None


def seconds(text: str) -> int:
    """Seconds of `50s` or `5m`."""
    return int(text[:-1]) * {"s": 1, "m": 60}[text[-1]]


def dockerfile() -> None:
    """The instructions that it must have, and none that brings in more than the binary."""
    text = (HERE / "Dockerfile").read_text().replace("\\\n", " ")
    lines = [line.split(maxsplit=1) for line in text.splitlines() if line.strip() and not line.startswith("#")]
    known = {"FROM", "RUN", "COPY", "USER", "WORKDIR", "ENTRYPOINT", "CMD", "STOPSIGNAL"}
    expect({word for word, _ in lines} <= known, "Dockerfile: an instruction that is not known")
    expect([rest for word, rest in lines if word == "COPY"] == ["--chmod=755 pacha /usr/local/bin/pacha"], "Dockerfile: it copies more than pacha")
    expect(any(word == "USER" and not rest.startswith(("0", "root")) for word, rest in lines), "Dockerfile: it runs as root")
    expect(json.loads(dict(lines)["ENTRYPOINT"]) == ["pacha"], "Dockerfile: its entry point is not pacha")


def try_flags(commands: list[list[str]]) -> None:
    """Whether pacha knows every flag: with --help at the end it reads them all, and starts nothing."""
    if pacha := os.environ.get("PACHA"):
        for command in commands:
            command = [re.sub(r"\$\((\w+)\)", r"x", word) for word in command]
            done = subprocess.run([pacha, *command, "--help"], capture_output=True, text=True, check=False)
            expect(done.returncode == 0, f"pacha {' '.join(command)}: {done.stderr.strip()}")


def try_settings(toml: str) -> None:
    """Whether pacha takes a pacha.toml."""
    if pacha := os.environ.get("PACHA"):
        with tempfile.TemporaryDirectory() as folder:
            Path(folder, "pacha.toml").write_text(toml)
            done = subprocess.run([pacha, "--project", folder, "check"], capture_output=True, text=True, check=False)
            expect("PC1" not in done.stderr + done.stdout, f"settings.yaml: {done.stderr}{done.stdout}")


def certificates() -> None:
    """Whether the script makes certificates that its own authority certifies, for the names that were asked for."""
    with tempfile.TemporaryDirectory() as folder:
        made = subprocess.run([HERE / "certificates", folder, "scheduler", "10.0.0.7"], capture_output=True, text=True, check=False)
        expect(made.returncode == 0, f"certificates: {made.stderr}")
        for name in ("scheduler", "10.0.0.7"):
            for purpose in ("sslserver", "sslclient"):
                verify = ["openssl", "verify", "-purpose", purpose, "-CAfile", f"{folder}/ca.pem"]
                verify += ["-verify_ip" if name[0].isdigit() else "-verify_hostname", name, f"{folder}/{name}.pem"]
                done = subprocess.run(verify, capture_output=True, text=True, check=False)
                expect(done.returncode == 0, f"certificates: {name}: {done.stdout}{done.stderr}")


def main() -> int:
    """Exit code 0 if all is well."""
    commands = kubernetes() + compose() + ecs()
    try_flags(commands)
    dockerfile()
    certificates()
    for mistake in mistakes:
        print(mistake, file=sys.stderr)
    tried = f"{len(commands)} commands tried" if os.environ.get("PACHA") else "flags NOT TRIED: PACHA names no binary"
    print(f"{len(mistakes)} mistakes in scheduler/deploy; {tried}")
    return 1 if mistakes else 0


if __name__ == "__main__":
    sys.exit(main())
