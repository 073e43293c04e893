"""CI systems are told by their own variables, and addresses never carry credentials."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from custody.capture.ci import CiRun, find_ci
from custody.capture.giturl import canonical


@pytest.mark.parametrize(
    ("environ", "run"),
    [
        ({}, None),
        ({"CI": "true"}, None),
        (
            {"GITHUB_ACTIONS": "true", "GITHUB_REPOSITORY": "o/r", "GITHUB_RUN_ID": "7", "GITHUB_RUN_ATTEMPT": "2",
             "GITHUB_SERVER_URL": "https://ghe.example.org"},
            CiRun("github", "https://ghe.example.org/o/r/actions/runs/7/attempts/2"),
        ),
        ({"GITHUB_ACTIONS": "true"}, CiRun("github")),
        ({"GITLAB_CI": "true", "CI_JOB_URL": "https://gl/o/r/-/jobs/1"}, CiRun("gitlab", "https://gl/o/r/-/jobs/1")),
        ({"JENKINS_URL": "https://j/", "BUILD_URL": "https://j/job/x/1/"}, CiRun("jenkins", "https://j/job/x/1/")),
        (
            {"BUILDKITE": "true", "BUILDKITE_BUILD_URL": "https://buildkite.com/o/p/builds/1", "BUILDKITE_JOB_ID": "j"},
            CiRun("buildkite", "https://buildkite.com/o/p/builds/1#j"),
        ),
        (
            {"TEKTON_TASK_RUN": "t", "TEKTON_NAMESPACE": "n", "TEKTON_DASHBOARD_URL": "https://d/"},
            CiRun("tekton", "https://d/#/namespaces/n/taskruns/t"),
        ),
        ({"TEKTON_PIPELINE_RUN": "p"}, CiRun("tekton")),
        ({"JENKINS_URL": "https://j/", "BUILD_URL": "https://u:p@j/job/"}, CiRun("jenkins")),
        ({"GITLAB_CI": "1", "CI_JOB_URL": "javascript:alert(1)"}, CiRun("gitlab")),
        ({"GITLAB_CI": "1", "CI_JOB_URL": "https://[x"}, CiRun("gitlab")),
    ],
)  # fmt: skip
def test_the_run_is_told_from_the_variables(environ: dict[str, str], run: CiRun | None) -> None:
    assert find_ci(environ) == run


def test_an_unknown_address_is_left_out_of_the_wire_form() -> None:
    assert CiRun("jenkins").wire() == {"system": "jenkins"}
    assert CiRun("jenkins", "https://j").wire() == {"system": "jenkins", "url": "https://j"}


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("https://github.com/o/r", "git+https://github.com/o/r@refs/heads/main"),
        ("https://user:ghp_token@GitHub.com/o/r.git", "git+https://github.com/o/r.git@refs/heads/main"),
        ("https://token@host:8443/o/r?private_token=x#y", "git+https://host:8443/o/r@refs/heads/main"),
        ("git@github.com:o/r.git", "git+ssh://git@github.com/o/r.git@refs/heads/main"),
        ("deploy@host:/srv/r.git", "git+ssh://host/srv/r.git@refs/heads/main"),
        ("host:r", "git+ssh://host/r@refs/heads/main"),
        ("ssh://git:pw@host:2222/r", "git+ssh://git@host:2222/r@refs/heads/main"),
        ("ssh://AKIAX@host/r", "git+ssh://host/r@refs/heads/main"),
        ("git@[::1]:r", "git+ssh://git@[::1]/r@refs/heads/main"),
        ("https://a@b@host/r", "git+https://host/r@refs/heads/main"),
        ("git://host/r", "git+git://host/r@refs/heads/main"),
        ("/srv/git/r.git", None),
        ("../r", None),
        ("C:/r", None),
        ("file:///srv/r", None),
        ("ext::sh -c id", None),
        ("ext::id", None),
        ("https://", None),
        ("https://host\n/x", None),
        ("https://[bad/r", None),
        ("", None),
    ],
)
def test_an_address_has_the_spdx_form_and_no_credentials(url: str, address: str | None) -> None:
    assert canonical(url, "refs/heads/main") == address


@given(
    st.sampled_from(["https", "ssh", "http"]),
    st.text("abcXYZ0123456789-_%:.~", min_size=1, max_size=20),
    st.text("bcd/", max_size=10),
)
def test_no_userinfo_survives(scheme: str, userinfo: str, path: str) -> None:
    address = canonical(f"{scheme}://{userinfo}@host/{path}")
    kept = "git@" if scheme == "ssh" and userinfo.partition(":")[0] == "git" else ""
    assert address == f"git+{scheme}://{kept}host/{path.lstrip('/')}"


@given(st.text(max_size=60), st.none() | st.text(max_size=10))
def test_any_text_is_read_without_an_error(url: str, ref: str | None) -> None:
    address = canonical(url, ref)
    assert address is None or address.isascii()
