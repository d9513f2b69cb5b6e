"""Deep Q-learning (Mnih et al. 2015) balances a pole on a cart.

The network tells for each action the return that may be expected of it. It is trained on transitions drawn
from a memory of past play, towards the reward plus the best that a slowly following copy, the target network,
expects next. The copy is a model without an optimizer; `load_state_dict` brings it up to date, and nothing is
compiled again.

    python examples/dqn.py --episodes 150
"""

from __future__ import annotations

import argparse
import copy
import math

import numpy as np

import ravine as rv
from ravine import nn, ops, optim

HIDDEN, BATCH, DISCOUNT, MEMORY, CLIP = 64, 64, 0.99, 20_000, 10.0
LONGEST, FOLLOW = 200, 200  # steps of an episode, and updates after which the target follows


class CartPole:
    """The cart and pole of Barto, Sutton and Anderson 1983: push left (0) or right (1), 1 of reward a step.

    The state is position and speed of the cart, angle and angular speed of the pole. An episode ends when the
    pole leans by more than 12 degrees, the cart is 2.4 from the middle, or after 200 steps.
    """

    def __init__(self, rng):
        self.rng = rng

    def reset(self):
        self.state, self.steps = self.rng.uniform(-0.05, 0.05, 4), 0
        return self.state.astype("float32")

    def step(self, action):
        """The next state, whether the pole has fallen, and whether the episode is over."""
        _, speed, angle, turning = self.state.tolist()
        force, sine, cosine = (10.0 if action else -10.0), math.sin(angle), math.cos(angle)
        pushed = (force + 0.05 * turning**2 * sine) / 1.1
        turned = (9.8 * sine - cosine * pushed) / (0.5 * (4 / 3 - 0.1 * cosine**2 / 1.1))
        moved = pushed - 0.05 * turned * cosine / 1.1
        rates = np.array([speed, moved, turning, turned])
        self.state, self.steps = self.state + 0.02 * rates, self.steps + 1
        fell = abs(self.state[0]) > 2.4 or abs(self.state[2]) > math.radians(12)
        return self.state.astype("float32"), fell, fell or self.steps == LONGEST


class Memory:
    """The latest transitions: state, action, next state, whether it was the end."""

    def __init__(self, size):
        self.states, self.following = np.zeros((2, size, 4), "float32")
        self.actions, self.ends = np.zeros(size, "int64"), np.zeros(size, "float32")
        self.n = 0

    def add(self, state, action, following, end):
        i = self.n % len(self.states)
        self.states[i], self.actions[i], self.following[i], self.ends[i] = state, action, following, end
        self.n += 1

    def sample(self, rng):
        rows = rng.integers(0, min(self.n, len(self.states)), BATCH)
        return self.states[rows], self.actions[rows], self.following[rows], self.ends[rows]


def new_network():
    return nn.Sequential(
        *(nn.Linear(4, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 2))
    )


def loss_of(models, states, actions, following, ends):
    """Distance of Q(s, a) from r + γ Q'(s', argmax Q(s')): double Q-learning."""
    chosen = ops.gather(models["q"](states), 1, actions[:, None])[:, 0]
    best = models["q"](following).argmax(1, keepdim=True)
    expected = ops.gather(models["target"](following), 1, best)[:, 0]
    wanted = 1.0 + DISCOUNT * (1.0 - ends) * expected
    return ops.smooth_l1_loss(chosen, ops.stop_gradient(wanted))


def new_step(q):
    models = {"q": q, "target": copy.deepcopy(q)}
    return rv.TrainStep(loss_of, models, {"q": optim.Adam(lr=1e-3, clip_norm=CLIP)}), models["target"]


def play(world, choose):
    """The return of an episode."""
    state, over, steps = world.reset(), False, 0
    while not over:
        state, _, over = world.step(choose(state))
        steps += 1
    return steps


def main(episodes):
    rv.seed(0)
    rng = np.random.default_rng(0)
    world, memory, q = CartPole(rng), Memory(MEMORY), new_network()
    step, target = new_step(q)
    returns = []
    for episode in range(episodes):
        state, over, steps = world.reset(), False, 0
        explore = max(0.05, 1.0 - episode / (0.4 * episodes))
        while not over:
            action = int(rng.integers(2)) if rng.random() < explore else int(q(state[None]).argmax())
            following, fell, over = world.step(action)
            memory.add(state, action, following, fell)
            state, steps = following, steps + 1
            if memory.n >= 500:
                step(*memory.sample(rng))
                if step.steps % FOLLOW == 0:
                    target.load_state_dict(q.state_dict())
        returns.append(steps)
        if (episode + 1) % (episodes // 5) == 0:
            print(f"episode {episode + 1}: return {np.mean(returns[-episodes // 5 :]):.0f}")
    at_random = np.mean([play(world, lambda state: rng.integers(2)) for _ in range(20)])
    learned = np.mean([play(world, lambda state: q(state[None]).argmax()) for _ in range(20)])
    print(f"mean return of 20 episodes: {learned:.0f}, at random {at_random:.0f}, at most {LONGEST}")
    print(f"{step.steps} updates, {len(step.programs())} program")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--episodes", type=int, default=150, help="at least 5")
    main(parser.parse_args().episodes)
