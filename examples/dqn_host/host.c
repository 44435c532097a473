/* host.c -- learns to balance a pole on a cart. The game is played here; the library dqn, written
 * by nndc from model.nnd, chooses moves and learns from them.
 *
 * The cart: Barto, Sutton, Anderson, IEEE Transactions SMC-13 (1983), in steps of 0.02 s; pushed to
 * the left or right at each. A game is lost when the pole leans by more than 12 degrees or the cart
 * leaves the track (2.4 m to each side), and won after 200 steps. Every step is worth 1. */
#include "../random.h"
#include "dqn.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { GAME = 200, MEMORY = 20000, BATCH = 64, GAMES = 600, TRIALS = 20 };

/* --- the game --- */

enum { PLACE, SPEED, ANGLE, TURNING, STATE }; /* of the cart: m, m/s, rad, rad/s */

static void cart_new(float cart[STATE])
{
    for (int i = 0; i < STATE; i++)
        cart[i] = 0.1f * uniform() - 0.05f;
}

/* Pushes the cart; returns whether the game is lost. */
static int cart_push(float cart[STATE], int to_the_right)
{
    const float pole = 0.1f, total = 1.1f, half = 0.5f, dt = 0.02f;
    float s = sinf(cart[ANGLE]), c = cosf(cart[ANGLE]);
    float force = to_the_right ? 10.0f : -10.0f;
    float push = (force + pole * half * cart[TURNING] * cart[TURNING] * s) / total;
    float turn = (9.8f * s - c * push) / (half * (4.0f / 3.0f - pole * c * c / total));
    float pull = push - pole * half * turn * c / total;
    cart[PLACE] += dt * cart[SPEED];
    cart[SPEED] += dt * pull;
    cart[ANGLE] += dt * cart[TURNING];
    cart[TURNING] += dt * turn;
    return fabsf(cart[PLACE]) > 2.4f || fabsf(cart[ANGLE]) > 12.0f * 3.14159265f / 180.0f;
}

/* --- what was played, to learn from --- */

typedef struct Memory {
    int count, next;
    float s[MEMORY][STATE], s2[MEMORY][STATE], reward[MEMORY];
    int32_t action[MEMORY];
    uint8_t done[MEMORY];
} Memory;

static void memory_add(Memory *m, const float *before, int action, const float *after, int lost)
{
    int i = m->next;
    memcpy(m->s[i], before, sizeof m->s[i]);
    memcpy(m->s2[i], after, sizeof m->s2[i]);
    m->action[i] = action;
    m->reward[i] = 1;
    m->done[i] = (uint8_t)lost;
    m->next = (i + 1) % MEMORY;
    if (m->count < MEMORY) m->count++;
}

/* One step of the library on moves drawn from memory. */
static int learn(dqn_ctx *net, const Memory *m)
{
    float s[BATCH][STATE], s2[BATCH][STATE], reward[BATCH];
    int32_t action[BATCH];
    uint8_t done[BATCH];
    if (m->count < 10 * BATCH) return DQN_OK;
    for (int n = 0; n < BATCH; n++) {
        int i = (int)(uniform() * (float)m->count);
        memcpy(s[n], m->s[i], sizeof s[n]);
        memcpy(s2[n], m->s2[i], sizeof s2[n]);
        action[n] = m->action[i];
        reward[n] = m->reward[i];
        done[n] = m->done[i];
    }
    return dqn_learn_step(net, BATCH, s[0], action, reward, s2[0], done, NULL);
}

/* --- games --- */

/* The move of larger value, or, now and then, any; -1 after an error. */
static int choose(dqn_ctx *net, const float *cart, float chance)
{
    float value[2];
    if (uniform() < chance) return uniform() < 0.5f;
    return dqn_Q(net, 1, cart, value) == DQN_OK ? value[1] > value[0] : -1;
}

/* Plays a game, with learning unless memory is NULL; returns its length, or -1 after an error. */
static int play(dqn_ctx *net, Memory *memory, float chance)
{
    float cart[STATE], before[STATE];
    cart_new(cart);
    for (int length = 1; length <= GAME; length++) {
        memcpy(before, cart, sizeof before);
        int action = choose(net, cart, chance);
        if (action < 0) return -1;
        int lost = cart_push(cart, action);
        if (memory) {
            memory_add(memory, before, action, cart, lost);
            if (learn(net, memory) != DQN_OK) return -1;
        }
        if (lost) return length;
    }
    return GAME;
}

/* The mean length of some games without learning. */
static float trial(dqn_ctx *net)
{
    int sum = 0;
    for (int i = 0; i < TRIALS; i++) {
        int length = play(net, NULL, 0);
        if (length < 0) return -1;
        sum += length;
    }
    return (float)sum / TRIALS;
}

int main(void)
{
    static Memory memory;
    char message[200];
    float best = 0;
    dqn_ctx *net = dqn_create(1, 1, message, sizeof message);
    if (!net) {
        fprintf(stderr, "%s\n", message);
        return 1;
    }
    for (int game = 1; game <= GAMES && best < 199; game++) {
        float chance = game < 100 ? 1.0f - 0.0095f * (float)game : 0.05f;
        if (play(net, &memory, chance) < 0) break;
        if (game % 20) continue;
        float length = trial(net);
        printf("after %3d games and %5lld steps: %5.1f\n", game, (long long)dqn_learn_steps(net),
               length);
        if (length > best) {
            best = length;
            if (dqn_save(net, "dqn.safetensors") != DQN_OK) break;
        }
    }
    if (*dqn_error(net)) fprintf(stderr, "%s\n", dqn_error(net));
    printf("a game lasts %.1f steps\n", best);
    dqn_free(net);
    return best >= 195 ? 0 : 1;
}
