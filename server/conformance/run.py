#!/usr/bin/env python3
"""Runs the ceph/s3-tests of a checkout against a fresh cluster of real processes.

    S3TESTS_DIR=~/s3-tests server/conformance/run.py [PYTEST ARGUMENT...]

prints what passed, failed and was skipped, by name, and compares it with expected.txt,
the list of tests that are expected to fail, each with its reason. A test that fails and
is not listed, and one that is listed and passes, are both a difference, and the exit
status is 1. With arguments (such as -k multipart) only the tests they choose are run.

NODES, DISKS and CONFORMANCE_PORT say what cluster; with TLS=1 it serves by TLS, and the
tests verify its certificate. The clients' packages are installed into a virtual
environment under .build.
"""

import json
import os
import pathlib
import secrets
import signal
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
BUILD = ROOT / ".build" / "conformance"
EXPECTED = HERE / "expected.txt"

# What no store without a second one beside it, or an identity provider, can do.
DESELECTED = "not cloud_transition and not cloud_restore and not webidentity_test and not lifecycle_transition"
# Those of IAM take the user_id of "s3 alt" for the name of a user whose policies "iam"
# may change, those of S3 for an account's canonical id: each gets what it takes it for.
S3_MODULES = ["test_s3.py", "test_headers.py"]
IAM_MODULES = ["test_iam.py", "test_sts.py"]
MODULES = S3_MODULES + IAM_MODULES

# How many seconds a day of a lifecycle rule has where tests wait for some of them.
SHORT_DAY = 10

KMS_KEYS = ["testkey-1", "testkey-2"]

# The accounts that the tests want, by the sections of their configuration.
ACCOUNTS = {
    "s3 main": ("M. Tester", "tester@example.com"),
    "s3 alt": ("john.doe", "john.doe@example.com"),
    "s3 tenant": ("testx", "tenant@example.com"),
    "iam root": ("account1", "account1@example.com"),
    "iam alt root": ("account2", "account2@example.com"),
}


def fail(why):
    sys.exit(f"conformance: {why}")


def checkout():
    path = os.environ.get("S3TESTS_DIR", "")
    if not path:
        fail("S3TESTS_DIR must name a checkout of https://github.com/ceph/s3-tests")
    path = pathlib.Path(path).expanduser().resolve()
    if not (path / "s3tests" / "functional").is_dir():
        fail(f"{path} is no checkout of s3-tests: it has no s3tests/functional")
    return path


# Modules that the tests import, and Debian's packages of them and of what they need.
NEEDED = {
    "boto3": "python3-boto3", "yaml": "python3-yaml", "requests": "python3-requests",
    "pytest": "python3-pytest python3-pluggy python3-iniconfig python3-packaging python3-attr",
    "munch": "python3-munch", "isodate": "python3-isodate python3-six", "pytz": "python3-tz",
    "httplib2": "python3-httplib2 python3-pyparsing", "lxml": "python3-lxml",
}


def has(python, module):
    return subprocess.run([python, "-c", f"import {module}"], stderr=subprocess.DEVNULL).returncode == 0


def newest_boto3():
    """The interpreter of the path whose boto3 is the newest; else this one."""
    best, chosen = (), sys.executable
    for directory in os.environ.get("PATH", "").split(os.pathsep):
        python = os.path.join(directory, "python3")
        if os.access(python, os.X_OK):
            out = subprocess.run([python, "-c", "import boto3; print(boto3.__version__)"], capture_output=True, text=True)
            version = tuple(int(n) for n in out.stdout.strip().split(".") if n.isdigit())
            if version > best:
                best, chosen = version, python
    return chosen


def python_of(tests):
    """An interpreter with what the tests need: of pip, or else of Debian's packages,
    unpacked where only it finds them."""
    home = BUILD / "venv"
    python = home / "bin" / "python"
    if all(python.exists() and has(python, m) for m in NEEDED):
        return python
    print("installing what the tests need", flush=True)
    subprocess.run([newest_boto3(), "-m", "venv", "--clear", "--system-site-packages", home], check=True)
    missing = [m for m in NEEDED if not has(python, m)]
    wanted = [p for p in (tests / "requirements.txt").read_text().splitlines() if p.strip() and not p.startswith(("#", "tox", "gevent"))]
    pip = [python, "-m", "pip", "install", "--quiet", "--retries", "0", "--disable-pip-version-check", *wanted]
    if missing and subprocess.run(pip, capture_output=True).returncode != 0:
        unpack_packages(home, python, missing)
    missing = [m for m in NEEDED if not has(python, m)]
    if missing:
        fail(f"these Python modules are missing and can be had neither of pip nor of apt-get: {', '.join(missing)}")
    return python


def unpack_packages(home, python, modules):
    packages = home / "debian"
    packages.mkdir()
    names = [name for m in modules for name in NEEDED[m].split()]
    try:
        subprocess.run(["apt-get", "download", "-qq", *names], cwd=packages, check=True)
        for deb in packages.glob("*.deb"):
            subprocess.run(["dpkg", "-x", deb, packages], check=True)
    except (OSError, subprocess.CalledProcessError):
        return
    site = subprocess.run([python, "-c", "import site; print(site.getsitepackages()[0])"], capture_output=True, text=True, check=True)
    (pathlib.Path(site.stdout.strip()) / "debian.pth").write_text(str(packages / "usr/lib/python3/dist-packages") + "\n")


def write_secret(path, text):
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as f:
        f.write(text)


def make_keys(path):
    keys = {}
    for section, (name, email) in ACCOUNTS.items():
        keys[section] = {
            "access_key": "AK" + secrets.token_hex(9).upper(),
            "secret_key": secrets.token_urlsafe(30),
            "name": name,
            "email": email,
        }
    write_secret(path, json.dumps(list(keys.values())))
    return keys


class Certificate:
    """What the cluster shows and the clients trust: one that signed itself, for 127.0.0.1."""

    def __init__(self, scratch):
        self.chain, self.key = scratch / "tls.pem", scratch / "tls.key"
        made = subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
             "-subj", "/CN=ironman-conformance", "-addext", "subjectAltName=IP:127.0.0.1",
             "-addext", "keyUsage=critical,digitalSignature,keyCertSign", "-keyout", self.key, "-out", self.chain],
            capture_output=True, text=True)
        if made.returncode != 0:
            fail(f"openssl makes no certificate: {made.stderr}")

    def environment(self):
        """Makes boto3, requests, and Python's own contexts trust it, where nothing else is said."""
        return dict.fromkeys(["AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"], str(self.chain))


def start_cluster(scratch, keys_file, days, certificate):
    ready = scratch / "ready.json"
    log = open(BUILD / f"cluster-{days}.log", "w")
    options = ["--keys-file", keys_file, "--kms-keys", ",".join(KMS_KEYS),
               "--web-identity", "--web-identity-insecure"]
    if certificate:
        options += ["--tls-cert", certificate.chain, "--tls-key", certificate.key]
    else:
        options += ["--allow-insecure-sse-c"]
    if days == "short":
        options += ["--lifecycle-day", f"{SHORT_DAY}s"]
    process = subprocess.Popen(
        [ROOT / "bin" / "ironman", "cluster", "--dir", scratch / "cluster",
         "--nodes", os.environ.get("NODES", "3"), "--disks", os.environ.get("DISKS", "2"),
         "--port", os.environ.get("CONFORMANCE_PORT", "9700"), "--ready-file", ready,
         "--release-grace", "1m", "--", *options],
        stdout=log, stderr=subprocess.STDOUT)
    while not ready.exists():
        if process.poll() is not None:
            fail(f"the cluster did not start: {(BUILD / f'cluster-{days}.log').read_text()[-2000:]}")
        time.sleep(0.1)
    return process, json.loads(ready.read_text())


# What is asked and done as an account itself, as any client would. The tests want an
# account's canonical id as its user_id, but of "iam root" its number. For those of IAM
# "s3 alt" is a user of that name in the account whose root "iam" is.
ASK = """
import boto3, json, sys
endpoint, access, secret, user = json.load(sys.stdin)
def client(service):
    return boto3.client(service, endpoint_url=endpoint, region_name='us-east-1', aws_access_key_id=access, aws_secret_access_key=secret)
out = {'canonical': client('s3').list_buckets()['Owner']['ID'], 'account': client('sts').get_caller_identity()['Account']}
if user:
    iam, name = client('iam'), out['canonical']
    iam.create_user(UserName=name)
    iam.create_group(GroupName='everything')
    iam.put_group_policy(GroupName='everything', PolicyName='everything', PolicyDocument=json.dumps(
        {'Version': '2012-10-17', 'Statement': [{'Effect': 'Allow', 'Action': '*', 'Resource': '*'}]}))
    iam.add_user_to_group(GroupName='everything', UserName=name)
    key = iam.create_access_key(UserName=name)['AccessKey']
    out['key'] = [key['AccessKeyId'], key['SecretAccessKey']]
print(json.dumps(out))
"""


def ask(python, endpoint, environment, key, user=False):
    out = subprocess.run([python, "-c", ASK], input=json.dumps([endpoint, key["access_key"], key["secret_key"], user]),
                         env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(out.stdout)


def write_configuration(path, python, endpoint, certificate, environment, keys, user):
    scheme, _, address = endpoint.partition("://")
    host, port = address.split(":")
    keys = {**keys, "iam": keys["s3 alt"]}
    if user:
        alt = ask(python, endpoint, environment, keys["s3 alt"], user=True)
        keys["s3 alt"] = {**keys["s3 alt"], "access_key": alt["key"][0], "secret_key": alt["key"][1]}
    lines = ["[DEFAULT]", f"host = {host}", f"port = {port}", f"is_secure = {scheme == 'https'}",
             f"ssl_verify = {certificate.chain if certificate else False}", "",
             "[fixtures]", "bucket prefix = ironman-{random}-", "iam name prefix = s3-tests-", "iam path prefix = /s3-tests/", ""]
    for section, key in keys.items():
        ids = ask(python, endpoint, environment, key)
        lines += [f"[{section}]", f"display_name = {key['name']}", f"email = {key['email']}",
                  f"user_id = {ids['account' if section == 'iam root' else 'canonical']}",
                  f"access_key = {key['access_key']}", f"secret_key = {key['secret_key']}"]
        if section == "s3 main":
            # No api_name: the test of it wants a region that is named, and us-east-1 is not.
            lines += [f"lc_debug_interval = {SHORT_DAY}", f"kms_keyid = {KMS_KEYS[0]}", f"kms_keyid2 = {KMS_KEYS[1]}"]
        if section == "s3 tenant":
            lines += ["tenant = testx"]
        lines += [""]
    write_secret(path, "\n".join(lines))


def run_tests(python, tests, configuration, environment, days, modules, arguments):
    """Runs them and returns {name: (outcome, first line of why)}."""
    name = f"{days}-{configuration.stem}"
    report = BUILD / f"report-{name}.xml"
    report.unlink(missing_ok=True)
    modules = [f"s3tests/functional/{m}" for m in modules]
    subprocess.run(
        [python, "-m", "pytest", "-q", "--no-header", "--tb=short", "-p", "no:cacheprovider", "-p", "plugin", "-m", DESELECTED,
         f"--junitxml={report}", *arguments, *modules],
        cwd=tests, env={**environment, "S3TEST_CONF": str(configuration), "PYTHONDONTWRITEBYTECODE": "1", "IRONMAN_DAYS": days, "IRONMAN_SHORT_DAY": str(SHORT_DAY), "PYTHONPATH": str(HERE)},
        stdout=open(BUILD / f"pytest-{name}.log", "w"), stderr=subprocess.STDOUT, check=False)
    if not report.exists():
        fail(f"pytest made no report: {(BUILD / f'pytest-{name}.log').read_text()[-2000:]}")
    return read_report(report)


def read_report(path):
    results = {}
    for case in ElementTree.parse(path).getroot().iter("testcase"):
        name = case.get("classname", "").split(".")[-1] + "::" + case.get("name", "")
        outcome, why = "passed", ""
        for child in case:
            if child.tag in ("failure", "error"):
                outcome, why = "failed", (child.get("message") or "").splitlines()[:1]
                why = why[0] if why else ""
            elif child.tag == "skipped" and outcome == "passed":
                outcome, why = "skipped", child.get("message") or ""
        if results.get(name, ("",))[0] != "failed":  # an error of the tear-down counts
            results[name] = (outcome, why)
    return results


def read_expected(text):
    """{name: reason} of lines "NAME  REASON"; # begins a comment."""
    expected = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        name, _, reason = line.partition(" ")
        if not reason.strip():
            fail(f"{EXPECTED.name}:{number}: {name} has no reason")
        if name in expected:
            fail(f"{EXPECTED.name}:{number}: {name} is there twice")
        expected[name] = reason.strip()
    return expected


def compare(results, expected, whole):
    """What differs from the list, as lines to print."""
    differences = []
    for name, (outcome, why) in sorted(results.items()):
        if outcome == "failed" and name not in expected:
            differences.append(f"fails, and is not expected to: {name}: {why[:200]}")
        if outcome == "passed" and name in expected:
            differences.append(f"passes, though it is expected to fail: {name}: {expected[name]}")
    if whole:
        for name in sorted(set(expected) - set(results)):
            differences.append(f"is expected to fail, but was not run: {name}")
    return differences


def show(results, expected):
    for outcome in ("passed", "skipped", "failed"):
        for name, (got, why) in sorted(results.items()):
            if got == outcome:
                print(f"{outcome:8} {name}" + (f"  ({expected.get(name, why[:120])})" if outcome != "passed" else ""))
    counts = {o: sum(1 for got, _ in results.values() if got == o) for o in ("passed", "failed", "skipped")}
    print("\n" + ", ".join(f"{n} {o}" for o, n in counts.items()))
    for module in MODULES:
        of = [got for name, (got, _) in results.items() if name.startswith(module.removesuffix(".py") + "::")]
        print(f"  {module:16} {of.count('passed')} passed, {of.count('failed')} failed, {of.count('skipped')} skipped")


def run_cluster(python, tests, days, arguments):
    """Runs the tests for one cluster; returns their results, and its exit code."""
    with tempfile.TemporaryDirectory(prefix="ironman-conformance-") as name:
        scratch = pathlib.Path(name)
        keys = make_keys(scratch / "keys.json")
        certificate = Certificate(scratch) if os.environ.get("TLS") == "1" else None
        environment = {**os.environ, **(certificate.environment() if certificate else {})}
        cluster, ready = start_cluster(scratch, scratch / "keys.json", days, certificate)
        try:
            results = {}
            for name, modules in (("s3", S3_MODULES), ("iam", IAM_MODULES)):
                if days == "short" and name == "iam":
                    continue  # none of them waits for a rule
                configuration = scratch / f"{name}.conf"
                write_configuration(configuration, python, ready["endpoints"][0], certificate, environment, keys, user=name == "iam")
                print(f"running {', '.join(modules)} with {days} days of lifecycle rules", flush=True)
                results |= run_tests(python, tests, configuration, environment, days, modules, arguments)
        finally:
            cluster.send_signal(signal.SIGTERM)
            code = cluster.wait()
    return results, code


def main(arguments):
    tests = checkout()
    BUILD.mkdir(parents=True, exist_ok=True)
    expected = read_expected(EXPECTED.read_text())
    python = python_of(tests)
    results, code = {}, 0
    for days in ("true", "short"):
        some, ended = run_cluster(python, tests, days, arguments)
        results |= some
        code = code or ended
    if not results:
        fail("no test was run")
    show(results, expected)
    differences = compare(results, expected, whole=not arguments)
    if code != 0:
        differences.append(f"the cluster ended with exit code {code}")
    print("\n".join(["", *differences]) if differences else "\nas expected")
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
