"""A plugin of pytest that chooses the tests for one of the two clusters: those that wait
for lifecycle rules need days of some seconds, those of the header x-amz-expiration, and
all else, true ones. IRONMAN_DAYS is "short" or "true".

It also keeps the tests apart where they rely on what Amazon would refuse them, too, and
lets them read the file of a certificate where they know only whether to verify."""

import configparser
import os
import time

import pytest

# Wants an account that has no bucket, and others leave some behind.
FIRST = "test_list_buckets_paginated"

# Looks after exactly as many days as the rule has. Since days are counted from midnight to
# midnight, what began right after one has not been done by then: it begins later in the day.
LATER = "test_lifecycle_deletemarker_expiration_with_days_tag"


# The clients of the tests verify by a file, too, but the tests read no more than a boolean.
# True means the authorities of the package certifi, which no environment changes.
if trusted := os.environ.get("AWS_CA_BUNDLE"):
    configparser.RawConfigParser.BOOLEAN_STATES = {**configparser.RawConfigParser.BOOLEAN_STATES, trusted.lower(): trusted}


def pytest_collection_modifyitems(config, items):
    short = os.environ["IRONMAN_DAYS"] == "short"
    chosen = [i for i in items if waits(i) == short]
    config.hook.pytest_deselected(items=[i for i in items if waits(i) != short])
    items[:] = sorted(chosen, key=lambda i: i.name != FIRST)


def waits(item):
    return item.get_closest_marker("lifecycle_expiration") is not None and "expiration_header" not in item.name


@pytest.fixture(autouse=True, scope="session")
def leave_groups():
    """The tests delete users that are still in a group, which is refused: they leave it."""
    from s3tests.functional import iam

    delete = iam.nuke_user

    def leave_and_delete(client, name):
        for group in client.list_groups_for_user(UserName=name)["Groups"]:
            client.remove_user_from_group(UserName=name, GroupName=group["GroupName"])
        delete(client, name)

    iam.nuke_user = leave_and_delete


@pytest.fixture(autouse=True)
def later(request):
    if request.node.name == LATER:
        day = float(os.environ["IRONMAN_SHORT_DAY"])
        time.sleep((0.6 * day - time.time()) % day)
