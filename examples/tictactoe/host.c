/* host.c -- learns tic-tac-toe by playing against itself. The rules and the tree search stand here;
 * the library ttt, written by nndc from model.nnd, says of a position how good its moves are and
 * who will win, and learns from what the search finds.
 *
 * The search: Silver et al., Science 362 (2018). A visit goes down the tree of positions, at each
 * to the move with the largest value so far plus a bonus for what the net likes and few visits
 * tried; ends at a position that is new, or where the game is over; and hands what it is worth back
 * to all positions on the way. */
#include "../random.h"
#include "ttt.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { CELLS = 9, VISITS = 100, MOST_VISITS = 400 }; /* when learning, when playing */
enum { GAMES = 2000, STEPS = 8, BATCH = 64, MEMORY = 8192, TRIALS = 1000 };

/* --- the game --- */

/* Who has a stone there: 1 the player to move, -1 the opponent, 0 nobody. */
typedef struct Board {
    int cell[CELLS];
} Board;

/* The board after a move, as the opponent sees it. */
static Board board_play(Board b, int move)
{
    b.cell[move] = 1;
    for (int i = 0; i < CELLS; i++)
        b.cell[i] = -b.cell[i];
    return b;
}

/* Whether the last move made a line of three. */
static int board_lost(const Board *b)
{
    static const int line[8][3] = {{0, 1, 2}, {3, 4, 5}, {6, 7, 8}, {0, 3, 6},
                                   {1, 4, 7}, {2, 5, 8}, {0, 4, 8}, {2, 4, 6}};
    for (int k = 0; k < 8; k++)
        if (b->cell[line[k][0]] + b->cell[line[k][1]] + b->cell[line[k][2]] == -3) return 1;
    return 0;
}

static int board_full(const Board *b)
{
    for (int i = 0; i < CELLS; i++)
        if (!b->cell[i]) return 0;
    return 1;
}

static void board_write(const Board *b, float out[2 * CELLS])
{
    for (int i = 0; i < CELLS; i++) {
        out[i] = b->cell[i] == 1;
        out[CELLS + i] = b->cell[i] == -1;
    }
}

/* --- the tree --- */

typedef struct Node {
    float prior[CELLS], sum[CELLS];
    int visits[CELLS], child[CELLS]; /* child 0: none yet */
} Node;

typedef struct Tree {
    ttt_ctx *net;
    int count, failed;
    Node node[MOST_VISITS + 1]; /* the root is the first */
} Tree;

/* Makes a node of a position, with the net's shares of the moves that are possible; returns its
 * value. */
static float tree_add(Tree *t, const Board *b, int *number)
{
    float board[2 * CELLS], move[CELLS], value, total = 0;
    Node *n = &t->node[*number = t->count++];
    memset(n, 0, sizeof *n);
    board_write(b, board);
    if (ttt_Net(t->net, 1, board, move, &value) != TTT_OK) t->failed = 1;
    for (int i = 0; i < CELLS; i++)
        total += n->prior[i] = b->cell[i] ? 0 : expf(move[i]);
    for (int i = 0; i < CELLS; i++)
        n->prior[i] /= total;
    return value;
}

/* The move that a visit takes. */
static int node_choose(const Node *n, const Board *b)
{
    int best = -1, all = 1;
    float most = 0;
    for (int i = 0; i < CELLS; i++)
        all += n->visits[i];
    for (int i = 0; i < CELLS; i++) {
        if (b->cell[i]) continue;
        float mean = n->visits[i] ? n->sum[i] / (float)n->visits[i] : 0;
        float score = mean + 1.5f * n->prior[i] * sqrtf((float)all) / (float)(1 + n->visits[i]);
        if (best < 0 || score > most) {
            best = i;
            most = score;
        }
    }
    return best;
}

/* One visit; returns what the position is worth to the player to move. */
static float tree_visit(Tree *t, int number, Board b)
{
    Node *n = &t->node[number];
    int move = node_choose(n, &b);
    Board next = board_play(b, move);
    float value;
    if (board_lost(&next))
        value = -1;
    else if (board_full(&next))
        value = 0;
    else if (n->child[move])
        value = tree_visit(t, n->child[move], next);
    else
        value = tree_add(t, &next, &n->child[move]);
    n->visits[move]++;
    n->sum[move] -= value;
    return -value;
}

/* How often a search visits each move; `noise` mixes the net's shares with some drawn at random. */
static int search(ttt_ctx *net, const Board *b, int all, float noise, int visits[CELLS])
{
    Tree t = {.net = net};
    int root;
    float drawn[CELLS], total = 0;
    tree_add(&t, b, &root);
    for (int i = 0; i < CELLS; i++)
        total += drawn[i] = b->cell[i] ? 0 : -logf(1 - uniform());
    for (int i = 0; i < CELLS; i++)
        t.node[root].prior[i] += noise * (drawn[i] / total - t.node[root].prior[i]);
    for (int i = 0; i < all && !t.failed; i++)
        tree_visit(&t, root, *b);
    memcpy(visits, t.node[root].visits, sizeof t.node[root].visits);
    return t.failed ? -1 : 0;
}

/* A move drawn by its weight, or, if `best`, one of the largest. */
static int pick(const int weight[CELLS], int best)
{
    int total = 0, largest = 0;
    for (int i = 0; i < CELLS; i++) {
        total += weight[i];
        if (weight[i] > weight[largest]) largest = i;
    }
    if (best) return largest;
    int left = (int)(uniform() * (float)total), move = 0;
    while ((left -= weight[move]) >= 0)
        move++;
    return move;
}

/* --- what was played, to learn from --- */

typedef struct Memory {
    int count, next;
    float board[MEMORY][2 * CELLS], visits[MEMORY][CELLS], outcome[MEMORY];
} Memory;

/* Any move that is possible. */
static int draw(const Board *b)
{
    int possible[CELLS];
    for (int i = 0; i < CELLS; i++)
        possible[i] = !b->cell[i];
    return pick(possible, 0);
}

/* Plays a game against itself and remembers its positions. Up to three moves at its beginning are
 * drawn, so that positions arise that it would avoid. */
static int play(ttt_ctx *net, Memory *m)
{
    Board b = {{0}};
    int place[CELLS], length = 0, visits[CELLS], drawn = (int)(4 * uniform());
    do {
        if (search(net, &b, VISITS, 0.25f, visits)) return -1;
        int i = place[length++] = m->next;
        m->next = (i + 1) % MEMORY;
        if (m->count < MEMORY) m->count++;
        board_write(&b, m->board[i]);
        for (int k = 0; k < CELLS; k++)
            m->visits[i][k] = (float)visits[k] / VISITS;
        b = board_play(b, length <= drawn ? draw(&b) : pick(visits, 0));
    } while (!board_lost(&b) && !board_full(&b));
    float outcome = board_lost(&b) ? 1 : 0; /* to who moved last */
    for (int k = length - 1; k >= 0; k--, outcome = -outcome)
        m->outcome[place[k]] = outcome;
    return 0;
}

static int learn(ttt_ctx *net, const Memory *m)
{
    float board[BATCH][2 * CELLS], visits[BATCH][CELLS], outcome[BATCH];
    for (int n = 0; n < BATCH; n++) {
        int i = (int)(uniform() * (float)m->count);
        memcpy(board[n], m->board[i], sizeof board[n]);
        memcpy(visits[n], m->visits[i], sizeof visits[n]);
        outcome[n] = m->outcome[i];
    }
    return ttt_learn_step(net, BATCH, board[0], visits[0], outcome, NULL) == TTT_OK ? 0 : -1;
}

/* --- games against a player who moves at random --- */

/* The net's move, with a search or without; -1 after an error. */
static int answer(ttt_ctx *net, const Board *b, int searching)
{
    int weight[CELLS];
    if (searching) return search(net, b, MOST_VISITS, 0, weight) ? -1 : pick(weight, 1);
    float board[2 * CELLS], move[CELLS], value;
    int best = -1;
    board_write(b, board);
    if (ttt_Net(net, 1, board, move, &value) != TTT_OK) return -1;
    for (int i = 0; i < CELLS; i++)
        if (!b->cell[i] && (best < 0 || move[i] > move[best])) best = i;
    return best;
}

/* How many games are lost, the net beginning every other one; -1 after an error. */
static int trial(ttt_ctx *net, int searching, int *won)
{
    int lost = 0;
    *won = 0;
    for (int game = 0; game < TRIALS; game++) {
        Board b = {{0}};
        int ours = game % 2;
        for (;; ours = !ours) {
            int move = ours ? answer(net, &b, searching) : draw(&b);
            if (move < 0) return -1;
            b = board_play(b, move);
            if (board_lost(&b) || board_full(&b)) break;
        }
        if (!board_lost(&b)) continue;
        if (ours)
            ++*won;
        else
            lost++;
    }
    return lost;
}

/* Prints how the net plays; returns the games lost with a search. */
static int show(ttt_ctx *net, int games)
{
    int won[2], lost[2] = {trial(net, 0, &won[0]), trial(net, 1, &won[1])};
    printf("after %4d games: of %d against a random player %3d won and %3d lost by the net alone, "
           "%3d and %2d with a search\n", games, TRIALS, won[0], lost[0], won[1], lost[1]);
    return lost[1];
}

int main(void)
{
    static Memory memory;
    char message[200];
    int lost = -1;
    ttt_ctx *net = ttt_create(1, 1, message, sizeof message);
    if (!net) {
        fprintf(stderr, "%s\n", message);
        return 1;
    }
    show(net, 0);
    for (int game = 1; game <= GAMES; game++) {
        int failed = play(net, &memory);
        for (int i = 0; i < STEPS && !failed; i++)
            failed = learn(net, &memory);
        if (failed) break;
        if (game % 500 == 0) lost = show(net, game);
    }
    if (*ttt_error(net)) fprintf(stderr, "%s\n", ttt_error(net));
    ttt_free(net);
    return lost ? 1 : 0;
}
