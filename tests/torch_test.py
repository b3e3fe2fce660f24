"""The general rule in PyTorch takes the steps that Keras's optimizer takes."""

import copy
import io

import keras
import numpy as np
import pytest

import l2l_tf

torch = pytest.importorskip("torch")
from l2l_tf import torch as l2l_torch  # noqa: E402

SHAPES = [(4, 3), (3,), (), (0, 2)]


def parameters() -> list:
  rng = np.random.default_rng(0)
  return [torch.nn.Parameter(torch.tensor(rng.normal(size=s), dtype=torch.float32)) for s in SHAPES]


def gradients(t: int) -> list:
  rng = np.random.default_rng([1, t])
  return [torch.tensor(rng.normal(size=s), dtype=torch.float32) for s in SHAPES]


def follow(optimizer, params, steps=range(50), without=()) -> list[np.ndarray]:
  for t in steps:
    for k, (p, g) in enumerate(zip(params, gradients(t))):
      p.grad = None if k in without else g
    optimizer.step()
  return [p.detach().numpy().copy() for p in params]


def same(first, second, atol=1e-6):
  for a, b in zip(first, second, strict=True):
    np.testing.assert_allclose(a, b, rtol=0, atol=atol)


@pytest.mark.slow
@pytest.mark.parametrize("without", [(), (1,)])
def test_it_takes_the_steps_of_keras(without):
  params = parameters()
  variables = [keras.Variable(p.detach().numpy()) for p in params]
  optimizer = l2l_tf.LearnedOptimizer(weight_decay=0.01)
  for t in range(50):
    pairs = [
      (keras.ops.convert_to_tensor(g.numpy()), v)
      for k, (g, v) in enumerate(zip(gradients(t), variables))
      if k not in without
    ]
    optimizer.build(variables)
    optimizer.apply_gradients(pairs)
  found = follow(l2l_torch.General(params, weight_decay=0.01), params, without=without)
  same(
    [x for k, x in enumerate(found) if k not in without],
    [v.numpy() for k, v in enumerate(variables) if k not in without],
    1e-5,
  )


def test_one_parameter_alone_remembers_where_it_began():
  params = parameters()[:1]
  optimizer = l2l_torch.General(params)
  start = params[0].detach().clone()
  follow(optimizer, params, range(3))
  same([optimizer.state["rule"]["tensors"][3][0]], [start.ravel()], 0)


def test_groups_share_the_state_and_have_rates_of_their_own():
  params, others = parameters(), parameters()
  whole = follow(l2l_torch.General(params), params, range(1))
  optimizer = l2l_torch.General([{"params": others[:2], "lr": 0.5}, {"params": others[2:]}])
  schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.5)
  found, start = follow(optimizer, others, range(1)), parameters()
  for k, (a, b, p) in enumerate(zip(found, whole, start)):
    p = p.detach().numpy()
    np.testing.assert_allclose((a - p) * (2 if k < 2 else 1), b - p, atol=1e-6)
  schedule.step()
  assert [group["lr"] for group in optimizer.param_groups] == [0.25, 0.5]


@pytest.mark.parametrize("how, late", [("frozen", (1, 4)), ("added", (3, 4))])
def test_what_has_had_no_gradient_costs_nothing_and_joins_later(how, late):
  """As if its state had been there from the start; in files too."""
  params = [*parameters(), torch.nn.Parameter(torch.ones(20, 10))]
  others = copy.deepcopy(params)
  everyone = l2l_torch.General(others)
  everyone._state_of(range(5))  # which takes the state of all
  optimizer = l2l_torch.General(params if how == "frozen" else params[:3])

  def step(one, own, t, without=()):
    for k, p in enumerate(own):
      p.grad = None if k in without else torch.ones(p.shape) * (1 + t % 2)
    one.step()

  for t in range(3):
    step(everyone, others, t, late)
    step(optimizer, params, t, late)
  early = sum(p.numel() for k, p in enumerate(params) if k not in late)
  assert optimizer.state["rule"]["tensors"][0].numel() == early
  if how == "added":
    optimizer.add_param_group({"params": params[3:]})
  again, copies = copy.deepcopy((optimizer, params))
  again.load_state_dict(optimizer.state_dict())
  for one, own in ((everyone, others), (optimizer, params), (again, copies)):
    for t in range(3, 6):
      step(one, own, t)
  expected, found, copied = ([p.detach() for p in own] for own in (others, params, copies))
  same(found, copied, 0)
  same(found, expected, 1e-6)
  assert optimizer.state["rule"]["tensors"][0].numel() == 216


def test_the_state_of_an_earlier_version_is_of_all_parameters():
  params, others = parameters(), parameters()
  optimizer, again = l2l_torch.General(params), l2l_torch.General(others)
  expected = follow(optimizer, params, range(3))
  state = optimizer.state_dict()
  assert state["state"]["rule"].pop("parameters") == [0, 1, 2, 3]
  again.load_state_dict(state)
  assert "parameters" not in state["state"]["rule"]
  optimizer.state["rule"]["parameters"] = [0, 1, 2, 3]
  for p, x in zip(others, expected, strict=True):
    p.data = torch.tensor(x)
  same(follow(again, others, range(3, 5)), follow(optimizer, params, range(3, 5)), 0)


@pytest.mark.parametrize(
  "make",
  [
    lambda p: torch.optim.Adam(p, lr=1e-3),
    lambda p: torch.optim.SGD(p, lr=0.1),
    lambda p: torch.optim.Adagrad(p, lr=0.1),
  ],
)
def test_the_state_of_another_optimizer_is_refused(make):
  """With its learning rate: a run that went on with it would be a thousand times too slow."""
  params = parameters()
  other, optimizer = make(params), l2l_torch.General(params)
  for steps in range(2):
    follow(other, params, range(steps))
    with pytest.raises(ValueError, match="not of l2l_tf.torch.General: it has"):
      optimizer.load_state_dict(other.state_dict())
  assert optimizer.param_groups[0]["lr"] == 1 and not optimizer.state


def test_a_state_is_saved_and_loaded():
  params = parameters()
  optimizer = l2l_torch.General(params)
  follow(optimizer, params, range(5))
  file = io.BytesIO()
  torch.save(optimizer.state_dict(), file)
  file.seek(0)
  others = [torch.nn.Parameter(p.detach().clone()) for p in params]
  again = l2l_torch.General(others)
  again.load_state_dict(torch.load(file))
  third = copy.deepcopy((optimizer, params))
  expected = follow(optimizer, params, range(5, 10))
  same(follow(again, others, range(5, 10)), expected, 0)
  same(follow(*third, range(5, 10)), expected, 0)
  wrong = l2l_torch.General([torch.nn.Parameter(torch.zeros(2)) for _ in SHAPES])
  with pytest.raises(ValueError, match="The state is not of these parameters"):
    wrong.load_state_dict(optimizer.state_dict())
  assert not wrong.state
  damaged = optimizer.state_dict()
  damaged["state"] = {"rule": {**damaged["state"]["rule"], "parameters": [0, 0, 2, 3]}}
  with pytest.raises(ValueError, match=r"there are 4, it is of \[0, 0, 2, 3\]"):
    wrong.load_state_dict(damaged)


def test_a_closure_gives_the_loss():
  (p,) = params = [torch.nn.Parameter(torch.tensor([3.0, -2.0]))]
  optimizer = l2l_torch.General(params)

  def closure():
    optimizer.zero_grad()
    loss = (p**2).sum()
    loss.backward()
    return loss

  losses = [optimizer.step(closure).item() for _ in range(100)]
  assert losses[0] == 13 and losses[-1] < 0.1


def test_a_sparse_gradient_is_its_numbers():
  table, dense = (torch.nn.Parameter(torch.ones(5, 2)) for _ in range(2))
  table.grad = torch.sparse_coo_tensor(
    [[1, 3]], [[1.0, 2.0], [3.0, 4.0]], (5, 2), check_invariants=True
  )
  dense.grad = table.grad.to_dense()
  for p in (table, dense):
    l2l_torch.General([p]).step()
  same([table.detach()], [dense.detach()], 0)
  assert (table[[0, 2, 4]] == 1).all() and (table[[1, 3]] != 1).all()


def test_nothing_happens_without_a_gradient():
  params = parameters()
  optimizer = l2l_torch.General(params)
  optimizer.step()
  assert not optimizer.state
  same([p.detach() for p in params], [p.detach() for p in parameters()], 0)


@pytest.mark.parametrize(
  "arguments, text",
  [
    ({"lr": -1.0}, "lr must be at least 0"),
    ({"weight_decay": float("nan")}, "weight_decay must be at least 0"),
    ({"optimizer": "nobody"}, "no pretrained optimizer"),
  ],
)
def test_bad_arguments(arguments, text):
  with pytest.raises(ValueError, match=text):
    l2l_torch.General(parameters(), **arguments)


def test_parameters_in_shards_are_refused(tmp_path):
  tensors = pytest.importorskip("torch.distributed.tensor")
  rendezvous = f"file://{tmp_path / 'rendezvous'}"
  torch.distributed.init_process_group("gloo", rendezvous, rank=0, world_size=1)
  try:
    mesh = torch.distributed.device_mesh.init_device_mesh("cpu", (1,))
    shards = torch.nn.Parameter(tensors.distribute_tensor(torch.ones(4), mesh))
    with pytest.raises(ValueError, match="whole on each device, not sharded ones"):
      l2l_torch.General([shards])
  finally:
    torch.distributed.destroy_process_group()


def test_parameters_that_are_no_floats():
  with pytest.raises(ValueError, match="float types"):
    l2l_torch.General([torch.zeros(3, dtype=torch.int32)])
  params = parameters()
  optimizer = l2l_torch.General(params)
  with pytest.raises(ValueError, match="float types"):
    optimizer.add_param_group({"params": [torch.zeros(3, dtype=torch.int32)]})
  assert len(optimizer.param_groups) == 1
  quantized = torch.nn.Parameter(torch.ones(5, dtype=torch.uint8), requires_grad=False)
  optimizer.add_param_group({"params": [quantized]})  # as of a model in eight bits
  same(follow(optimizer, params), follow(l2l_torch.General(again := parameters()), again), 0)
  with pytest.raises(l2l_tf.CheckpointError, match="holds no general rule"):
    l2l_torch.General(parameters(), "mnist_lstm")
