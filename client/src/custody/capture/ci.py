"""Which CI system a step runs in, and the page of this very run, as its variables tell."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import quote, urlsplit


@dataclass(frozen=True, slots=True)
class CiRun:
    """The CI system by its short name, and the address of the run where one can be told."""

    system: str
    url: str | None = None

    def wire(self) -> dict[str, str]:
        """Return the `ci` member of a step."""
        return {"system": self.system} | ({"url": self.url} if self.url else {})


Environ = Mapping[str, str]


def find_ci(environ: Environ) -> CiRun | None:
    """Return the CI system that set `environ`, or None; a build under Tekton inside Jenkins is Jenkins'."""
    for system, marks, address in _SYSTEMS:
        if any(environ.get(name) for name in marks):
            return CiRun(system, _web_address(address(environ)))
    return None


def _github(environ: Environ) -> str | None:
    repository, run = environ.get("GITHUB_REPOSITORY"), environ.get("GITHUB_RUN_ID")
    if not repository or not run:
        return None
    server = environ.get("GITHUB_SERVER_URL", "https://github.com")
    attempt = environ.get("GITHUB_RUN_ATTEMPT")
    address = f"{server}/{quote(repository)}/actions/runs/{quote(run, safe='')}"
    return f"{address}/attempts/{quote(attempt, safe='')}" if attempt else address


def _gitlab(environ: Environ) -> str | None:
    return environ.get("CI_JOB_URL") or environ.get("CI_PIPELINE_URL")


def _jenkins(environ: Environ) -> str | None:
    return environ.get("BUILD_URL") or environ.get("RUN_DISPLAY_URL")


def _buildkite(environ: Environ) -> str | None:
    build, job = environ.get("BUILDKITE_BUILD_URL"), environ.get("BUILDKITE_JOB_ID")
    return f"{build}#{quote(job, safe='')}" if build and job else build


def _tekton(environ: Environ) -> str | None:
    """Tekton sets no variables by itself; these are what a Task passes on from its context."""
    dashboard = environ.get("TEKTON_DASHBOARD_URL")
    run = environ.get("TEKTON_PIPELINE_RUN")
    kind = "pipelineruns"
    if not run:
        run, kind = environ.get("TEKTON_TASK_RUN"), "taskruns"
    namespace = environ.get("TEKTON_NAMESPACE")
    if not dashboard or not run or not namespace:
        return None
    return f"{dashboard.rstrip('/')}/#/namespaces/{quote(namespace, safe='')}/{kind}/{quote(run, safe='')}"


_SYSTEMS: tuple[tuple[str, tuple[str, ...], Callable[[Environ], str | None]], ...] = (
    ("github", ("GITHUB_ACTIONS",), _github),
    ("gitlab", ("GITLAB_CI",), _gitlab),
    ("jenkins", ("JENKINS_URL",), _jenkins),
    ("buildkite", ("BUILDKITE",), _buildkite),
    ("tekton", ("TEKTON_PIPELINE_RUN", "TEKTON_TASK_RUN"), _tekton),
)


def _web_address(url: str | None) -> str | None:
    """Return `url` if it is a plain web address without credentials, else None."""
    if url is None or not url.isprintable() or " " in url or len(url) > 2000:
        return None
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    plain = parts.scheme in ("http", "https") and parts.netloc != "" and "@" not in parts.netloc
    return url if plain else None
