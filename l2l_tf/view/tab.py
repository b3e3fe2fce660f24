"""The view as a tab of TensorBoard, which reads the sweeps under the logdir while runs train.

Nothing outside the logdir is read. A file that is damaged, or half written, becomes a line in the
view.
"""

from collections.abc import Callable, Iterator
import os
from typing import Any

from tensorboard.backend import http_util
from tensorboard.plugins import base_plugin
from werkzeug import wrappers

from l2l_tf import surroundings
from l2l_tf.inspection import sweep_files
from l2l_tf.inspection.proposal_files import VisualizationError

ASSETS = os.path.join(os.path.dirname(__file__), "assets")
FILES = ("scale.js", "panels.js", "view.js", "tab.js", "view.css")
KINDS = {".js": "text/javascript", ".css": "text/css"}
PLOTLY_SECONDS = 24 * 3600  # that browsers may keep it
NAME = "l2l_tf"


class Tab(base_plugin.TBPlugin):
  """The tab "Learned optimizer"."""

  plugin_name = NAME

  def __init__(self, context: base_plugin.TBContext):
    """Takes the logdir; one that is not a directory of this machine holds nothing for us."""
    self._logdir = os.path.realpath(context.logdir) if context.logdir else ""
    self._active = False

  def is_active(self) -> bool:
    """Whether there are sweeps; once there are, nobody looks again."""
    self._active = self._active or any(True for _ in self._directories())
    return self._active

  def frontend_metadata(self) -> base_plugin.FrontendMetadata:
    """The tab's name, and the module that draws it; it looks for news by itself."""
    return base_plugin.FrontendMetadata(
      es_module_path="/tab.js", tab_name="Learned optimizer", disable_reload=True
    )

  def get_plugin_apps(self) -> dict[str, Callable]:
    """What is served: the parts of the view, Plotly, and the data."""
    apps: dict[str, Callable] = {f"/{name}": _file(name) for name in FILES}
    answers = {"/runs": self._runs, "/document": self._document, "/plotly.js": _plotly}
    return apps | {name: wrappers.Request.application(answer) for name, answer in answers.items()}

  def _directories(self) -> Iterator[tuple[str, str]]:
    """Every directory under the logdir with a folder of sweeps, after its name."""
    for directory, folders, _ in os.walk(self._logdir):
      folders.sort()
      if sweep_files.SWEEPS in folders:
        relative = os.path.relpath(directory, self._logdir)
        yield os.path.basename(self._logdir) if relative == "." else relative, directory

  def _read(self, run: str, epoch: str) -> dict[str, Any]:
    """The document of an epoch, or the problem with it."""
    directory = dict(self._directories()).get(run)
    paths = {str(k): path for k, path in sweep_files.paths(directory).items()} if directory else {}
    path = paths.get(epoch)
    if path is None:
      return {"problem": f"There are no sweeps of epoch {epoch} of {run}."}
    if not os.path.realpath(path).startswith(os.path.join(self._logdir, "")):
      return {"problem": f"{path} leads out of the logdir, and is not read."}
    try:
      return sweep_files.read(path)
    except VisualizationError as error:
      return {"problem": str(error)}

  def _runs(self, request: wrappers.Request) -> wrappers.Response:
    """The epochs of each run."""
    runs = {name: list(sweep_files.paths(directory)) for name, directory in self._directories()}
    return _json(request, {"runs": {name: found for name, found in runs.items() if found}})

  def _document(self, request: wrappers.Request) -> wrappers.Response:
    """The document of the run and the epoch that are asked for."""
    query = request.args
    return _json(request, self._read(query.get("run", ""), query.get("epoch", "")))


def _json(request: wrappers.Request, value: dict[str, Any]) -> wrappers.Response:
  return http_util.Respond(request, value, "application/json")


def _file(name: str) -> Callable:
  """Serves one of the files of the view."""

  @wrappers.Request.application
  def serve(request: wrappers.Request) -> wrappers.Response:
    with open(os.path.join(ASSETS, name), "rb") as file:
      return http_util.Respond(request, file.read(), KINDS[os.path.splitext(name)[1]])

  return serve


def _plotly(request: wrappers.Request) -> wrappers.Response:
  """Serves Plotly, or says in the browser's console what to install."""
  try:
    from plotly import offline

    script = offline.get_plotlyjs()
  except ImportError:
    line = f"The view needs the package plotly: {surroundings.how_to_install('train')}"
    return http_util.Respond(request, f"window.l2lMissing = {line!r};", "text/javascript")
  return http_util.Respond(request, script, "text/javascript", expires=PLOTLY_SECONDS)
