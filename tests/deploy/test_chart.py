"""Tests of the Helm chart; test-chart.sh installs what they need and runs them."""

import os
import re
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

import yaml

import chart_cases as cases
from chart import CHART, ROOT, Refused, check_container, check_release, config_of, one, render, same

SCHEMAS = os.environ["SAMLGATE_KUBE_SCHEMAS"]
CI_VALUES = sorted(CHART.glob("ci/*-values.yaml"))
PARENT = Path(__file__).parent / "parent-chart"


def kubeconform(objects):
    done = subprocess.run(["kubeconform", "-strict", "-schema-location", f"{SCHEMAS}/{{{{ .ResourceKind }}}}{{{{ .KindSuffix }}}}.json", "-"],
                          input=yaml.safe_dump_all(objects), capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


def container_of(objects):
    return one(objects, "Deployment")["spec"]["template"]["spec"]["containers"][0]


class Examples(unittest.TestCase):
    def test_every_example_lints_renders_and_fits_together(self):
        self.assertEqual({f.name for f in CI_VALUES}, {"minimal-values.yaml", "sidecar-values.yaml", "standalone-values.yaml"})
        for file in CI_VALUES:
            for kube in ("1.27.0", "1.34.0"):
                with self.subTest(values=file.name, kube=kube):
                    lint = subprocess.run(["helm", "lint", "--strict", str(CHART), "-f", str(file), "--kube-version", kube], capture_output=True, text=True)
                    self.assertEqual(lint.returncode, 0, lint.stdout + lint.stderr)
                    objects = render(file, kube=kube)
                    check_release(objects)
                    code, said = kubeconform(objects)
                    self.assertEqual(code, 0, said)
                    same(yaml.safe_load(file.read_text())["config"], config_of(objects))

    def test_the_checks_themselves_find_mistakes(self):
        deployment = one(render(CI_VALUES[0]), "Deployment")
        for path, value in [("spec.replicas", "two"), ("spec.template.spec.container", []), ("spec.strategy.kind", "x"), ("spec.selector", None)]:
            broken = yaml.safe_load(yaml.safe_dump(deployment))
            *above, last = path.split(".")
            place = broken
            for step in above:
                place = place[step]
            place[last] = value
            self.assertNotEqual(kubeconform([broken])[0], 0, path)
        del deployment["spec"]["template"]["spec"]["containers"][0]["securityContext"]["capabilities"]
        with self.assertRaises((AssertionError, KeyError)):
            pod = deployment["spec"]["template"]["spec"]
            check_container(pod["containers"][0], pod["volumes"])

    def test_notes_name_what_the_identity_provider_needs(self):
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder) / "samlgate"
            shutil.copytree(CHART, copy)
            notes = (copy / "templates" / "NOTES.txt").read_text()
            (copy / "templates" / "_notes.tpl").write_text('{{- define "notes" }}' + notes + "{{ end }}")
            (copy / "templates" / "notes.yaml").write_text('kind: Notes\nmetadata: {name: n}\ntext: {{ include "notes" . | toJson }}\n')
            for file, wanted in [("standalone", ["https://reports.example.com/_samlgate/acs", "allow its Service no other client"]),
                                 ("sidecar", ["https://grafana.example.com/_samlgate/metadata", "patch deployment grafana"]),
                                 ("minimal", ["kept in memory"])]:
                text = one(render(CHART / "ci" / f"{file}-values.yaml", chart=copy), "Notes")["text"]
                for words in wanted:
                    self.assertIn(words, text)


    def test_the_schema_knows_exactly_the_values_that_are_documented(self):
        def keys(schema, values, at=""):
            if schema.get("additionalProperties") is not False or not isinstance(values, dict) or "patternProperties" in schema:
                return
            self.assertEqual(set(schema["properties"]) - {"enabled", "global", "initialDelaySeconds", "successThreshold", "request", "backendRequest", *values}, set(), at)
            for key, value in values.items():
                keys(schema["properties"][key], value, f"{at}.{key}")
        keys(yaml.safe_load((CHART / "values.schema.json").read_text()), yaml.safe_load((CHART / "values.yaml").read_text()))

    def test_the_examples_of_the_page_work(self):
        page = (ROOT / "docs" / "deploy-kubernetes.md").read_text()
        blocks = [b for b in re.findall(r"```yaml\n(.*?)```", page, re.S) if "{{" not in b]
        first, policy, sidecar, _dependency, replicas = (yaml.safe_load(b) for b in blocks)
        for values in (first, cases.merged(first, sidecar), cases.merged(first, replicas)):
            objects = render(values=values)
            check_release(objects)
            self.assertEqual(kubeconform(objects)[0], 0)
        self.assertEqual(kubeconform([policy])[0], 0)


class Configuration(unittest.TestCase):
    def test_toml_carries_every_value_with_its_type(self):
        same(cases.AWKWARD["config"], config_of(render(values=cases.AWKWARD)))

    def test_values_from_the_command_line_are_written_the_same(self):
        written = config_of(render(values=cases.MINIMAL, arguments=["--set", "config.listen.workers=3", "--set-json", "config.identity.groups.max=100"]))
        self.assertEqual((written["listen"]["workers"], written["identity"]["groups"]["max"]), (3, 100))
        self.assertIs(type(written["identity"]["groups"]["max"]), int)

    def test_a_changed_configuration_restarts_the_pods(self):
        def checksum(*layers):
            pod = one(render(values=cases.merged(cases.MINIMAL, *layers)), "Deployment")["spec"]["template"]
            return pod["metadata"]["annotations"]["checksum/config"]
        self.assertEqual(checksum(), checksum())
        self.assertNotEqual(checksum(), checksum(cases.config(prefix="/sso")))
        self.assertNotEqual(checksum(), checksum({"files": {"inline": {"idp.xml": "<x/>"}}}))

    def test_the_program_takes_the_rendered_configuration(self):
        program = os.environ.get("SAMLGATE_BIN") or next((str(f) for f in (ROOT / "target/release/samlgate", ROOT / "target/debug/samlgate") if f.exists()), None)
        if not program:
            self.skipTest("no samlgate built; SAMLGATE_BIN names one")
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run([str(Path(__file__).parent / "make-config.sh"), folder], check=True, capture_output=True)
            (data,) = [o["data"] for o in render(CHART / "ci" / "minimal-values.yaml") if o["kind"] == "ConfigMap"]
            Path(folder, "samlgate.toml").write_text(data["samlgate.toml"])
            environment = {name: value for name, value in os.environ.items() if not name.startswith("SAMLGATE_")}  # those are keys
            done = subprocess.run([program, "check", "--config", f"{folder}/samlgate.toml"], capture_output=True, text=True, env=environment)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)


class Refusals(unittest.TestCase):
    def test_every_bad_value_is_refused_with_its_reason(self):
        for name, values, wanted in cases.REFUSED:
            with self.subTest(name):
                with self.assertRaises(Refused) as caught:
                    render(values=values)
                for words in wanted:
                    self.assertIn(words, str(caught.exception))

    def test_a_cluster_too_old_is_refused(self):
        for values, kube in [(cases.MINIMAL, "1.26.0"), (cases.merged(cases.SIDECAR, {"sidecar": {"native": True}}), "1.28.0")]:
            with self.assertRaises(Refused):
                render(values=values, kube=kube)


class StandAlone(unittest.TestCase):
    def check(self, *layers, kube="1.34.0"):
        objects = render(values=cases.merged(cases.MINIMAL, *layers), kube=kube)
        check_release(objects)
        code, said = kubeconform(objects)
        self.assertEqual(code, 0, said)
        return objects

    def test_probes_follow_the_ops_address(self):
        container = container_of(self.check(cases.config(listen={"ops_address": "0.0.0.0:9191"})))
        self.assertEqual(container["readinessProbe"]["httpGet"], {"path": "/readyz", "port": "samlgate-ops"})
        self.assertEqual(container["livenessProbe"]["httpGet"]["path"], "/livez")
        self.assertIn({"name": "samlgate-ops", "containerPort": 9191, "protocol": "TCP"}, container["ports"])
        container = container_of(self.check(cases.config(listen={"ops_address": "127.0.0.1:9090"})))
        self.assertIn("healthcheck", container["readinessProbe"]["exec"]["command"])
        self.assertEqual(len(container["ports"]), 1)

    def test_several_replicas_with_a_shared_store_or_with_sticky_sessions(self):
        self.check(cases.REDIS, cases.KEY, cases.ASSERTION_KEY, {"replicas": 3})
        self.check(cases.ASSERTION_KEY, {"replicas": 3, "stickySessions": True})
        scaled = self.check(cases.REDIS, cases.KEY, cases.ASSERTION_KEY, {"autoscaling": {"enabled": True}})
        self.assertNotIn("replicas", one(scaled, "Deployment")["spec"])

    def test_a_storage_kind_from_the_environment_counts(self):
        env = {"extraEnv": [{"name": "SAMLGATE_STORAGE__KIND", "value": "redis"}], "replicas": 2}
        self.check(cases.KEY, cases.ASSERTION_KEY, env)

    def test_a_database_file_has_one_writer_and_a_volume(self):
        objects = self.check(cases.config(storage={"kind": "sqlite"}), {"persistence": {"enabled": True, "size": "2Gi"}})
        self.assertEqual(one(objects, "Deployment")["spec"]["strategy"], {"type": "Recreate"})
        self.assertEqual(one(objects, "PersistentVolumeClaim")["spec"]["resources"]["requests"]["storage"], "2Gi")
        self.assertEqual(config_of(objects)["data_dir"], "/var/lib/samlgate")

    def test_secrets_are_mounted_under_the_names_that_the_configuration_uses(self):
        objects = self.check({"files": {"from": [{"secret": "sp", "items": {"tls.key": "sp.key"}}, {"configMap": "idp"}]}})
        sources = one(objects, "Deployment")["spec"]["template"]["spec"]["volumes"][0]["projected"]["sources"]
        self.assertEqual(sources[1:], [{"secret": {"name": "sp", "items": [{"key": "tls.key", "path": "sp.key"}]}}, {"configMap": {"name": "idp"}}])

    def test_the_ops_port_is_open_to_those_named(self):
        peer = {"namespaceSelector": {"matchLabels": {"name": "monitoring"}}}
        rules = one(self.check({"networkPolicy": {"opsFrom": [peer]}}), "NetworkPolicy")["spec"]["ingress"]
        self.assertEqual(rules[1], {"ports": [{"port": 9090, "protocol": "TCP"}], "from": [peer]})

    def test_hosts_come_from_the_public_url(self):
        objects = self.check(cases.config(public_url="https://App.example.com:8443"),
                             {"ingress": {"enabled": True}, "httpRoute": {"enabled": True, "parentRefs": [{"name": "g"}]}})
        self.assertEqual(one(objects, "Ingress")["spec"]["rules"][0]["host"], "app.example.com")
        self.assertEqual(one(objects, "HTTPRoute")["spec"]["hostnames"], ["app.example.com"])

    def test_sleep_before_stop_only_where_the_cluster_knows_it(self):
        self.assertEqual(container_of(self.check())["lifecycle"]["preStop"], {"sleep": {"seconds": 5}})
        self.assertNotIn("lifecycle", container_of(self.check(kube="1.29.0")))

    def test_a_parent_chart_says_where_images_come_from(self):
        shared = {"imageRegistry": "mirror.example.com", "imagePullSecrets": ["one", {"name": "two"}]}
        pod = one(self.check({"global": shared, "imagePullSecrets": [{"name": "two"}]}), "Deployment")["spec"]["template"]["spec"]
        self.assertEqual(pod["imagePullSecrets"], [{"name": "two"}, {"name": "one"}])
        self.assertEqual(pod["containers"][0]["image"], "mirror.example.com/samlgate:0.1.0")

    def test_an_image_can_be_pinned(self):
        digest = "sha256:" + "0" * 64
        container = container_of(self.check({"image": {"registry": "registry.example.com", "digest": digest}}))
        self.assertEqual(container["image"], f"registry.example.com/samlgate@{digest}")


class Sidecar(unittest.TestCase):
    def test_the_service_and_policy_are_for_the_applications_pods(self):
        objects = render(values=cases.SIDECAR)
        check_release(objects)
        self.assertEqual(one(objects, "Service")["spec"]["selector"], {"app": "reports"})
        self.assertEqual(one(objects, "NetworkPolicy")["spec"]["podSelector"]["matchLabels"], {"app": "reports"})
        self.assertFalse([o for o in objects if o["kind"] in ("Deployment", "ServiceAccount")])

    def test_a_native_sidecar_is_an_init_container_that_stays(self):
        objects = render(values=cases.merged(cases.SIDECAR, {"sidecar": {"native": True}}))
        check_release(objects)
        patch = yaml.safe_load(one(objects, "ConfigMap", "sg-samlgate-patch")["data"]["patch.yaml"])
        self.assertEqual(patch["spec"]["template"]["spec"]["initContainers"][0]["restartPolicy"], "Always")

    def test_the_patch_adds_to_a_deployment_and_keeps_what_it_had(self):
        if not shutil.which("kubectl"):
            self.skipTest("no kubectl")
        before = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "reports"}, "spec": {
            "selector": {"matchLabels": {"app": "reports"}},
            "template": {"metadata": {"labels": {"app": "reports"}}, "spec": {
                "containers": [{"name": "reports", "image": "reports:1", "volumeMounts": [{"name": "d", "mountPath": "/d"}]}],
                "volumes": [{"name": "d", "emptyDir": {}}]}}}}
        for native in (False, True):
            objects = render(values=cases.merged(cases.SIDECAR, {"sidecar": {"native": native}}))
            with tempfile.TemporaryDirectory() as folder:
                Path(folder, "patch.yaml").write_text(one(objects, "ConfigMap", "sg-samlgate-patch")["data"]["patch.yaml"])
                Path(folder, "before.yaml").write_text(yaml.safe_dump(before))
                done = subprocess.run(["kubectl", "patch", "--local", "-f", f"{folder}/before.yaml", "--patch-file", f"{folder}/patch.yaml", "-o", "yaml"], capture_output=True, text=True)
            self.assertEqual(done.returncode, 0, done.stderr)
            after = {k: v for k, v in yaml.safe_load(done.stdout).items() if k != "status"}
            pod = after["spec"]["template"]["spec"]
            everything = pod["containers"] + pod.get("initContainers", [])
            self.assertEqual(sorted(c["name"] for c in everything), ["reports", "samlgate"])
            self.assertEqual({v["name"] for v in pod["volumes"]}, {"d", "samlgate-config"})
            after["metadata"].pop("creationTimestamp", None), after["spec"]["template"]["metadata"].pop("creationTimestamp", None)
            after["spec"].pop("strategy", None)
            for c in everything:
                if not c.get("resources"):
                    c.pop("resources", None)
            code, said = kubeconform([after])
            self.assertEqual(code, 0, said)

    def test_another_chart_includes_the_container(self):
        with tempfile.TemporaryDirectory() as folder:
            parent = Path(folder) / "reports"
            shutil.copytree(PARENT, parent)
            shutil.copytree(CHART, parent / "charts" / "samlgate")
            objects = render(chart=parent)
            pod = one(objects, "Deployment")["spec"]["template"]
            self.assertEqual([c["name"] for c in pod["spec"]["containers"]], ["reports", "samlgate"])
            self.assertIn("checksum/samlgate", pod["metadata"]["annotations"])
            check_container(pod["spec"]["containers"][1], pod["spec"]["volumes"])
            mounted = pod["spec"]["volumes"][0]["projected"]["sources"][0]["configMap"]["name"]
            one(objects, "ConfigMap", mounted)
            code, said = kubeconform(objects)
            self.assertEqual(code, 0, said)
            with self.assertRaises(Refused):
                render(chart=parent, values={"samlgate": {"replicaz": 1}})
            self.assertEqual(len(render(chart=parent, values={"samlgate": {"enabled": False}})), 1)


if __name__ == "__main__":
    result = unittest.main(verbosity=2, exit=False).result
    failed, skipped = len({str(test) for test, _ in result.failures + result.errors}), len(result.skipped)
    print(f"{len(CI_VALUES)} examples, {len(cases.REFUSED)} refusals")
    print(f"chart: {max(result.testsRun - failed - skipped, 0)} passed, {failed} failed, {skipped} skipped", flush=True)
    raise SystemExit(not result.wasSuccessful())
