/* misuse.c -- calls the library of a small program (the one of tests/kinds/host.py) in every wrong
 * way: each must give its code and a message, and leave the parameters as they were. */
#include "net.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static int failures;

static void expect(int found, int code, const char *error, const char *text, const char *what)
{
    if (found == code && strstr(error, text)) return;
    printf("%s: code %d instead of %d, \"%s\" lacks \"%s\"\n", what, found, code, error, text);
    failures++;
}

#define EXPECT(call, code, text) expect(call, code, net_error(net), text, #call)

int main(void)
{
    char message[40] = "x", small[8];
    float s[16] = {0}, out[24], loss = 0, w[6], before[6], nothing[1];
    int32_t action[8] = {0, 1, 2, 0, 1, 2, 0, 1}, wrong[8] = {0, 3, 0, 0, 0, 0, 0, 0};
    uint8_t fresh[8] = {0}, pixel[16] = {0};
    int64_t shape[8];
    net_ctx *net = net_create(1, 1, message, sizeof message);
    if (!net || *message) return 1;
    if (net_create(1, -1, small, sizeof small) || strlen(small) != 7) failures++;
    if (net_create(1, -1, NULL, 0)) failures++;
    net_free(NULL);

    /* a context that is NULL */
    if (net_Pick(NULL, 1, s, out) != NET_CALL || net_save(NULL, "x") != NET_CALL ||
        net_load(NULL, "x") != NET_CALL || net_get(NULL, "x", w, 6) != NET_CALL ||
        net_set(NULL, "x", w, 6) != NET_CALL || net_shape(NULL, "x", shape) != -1 ||
        net_path(NULL, 0) || net_learn_steps(NULL) != 0 ||
        net_learn_step(NULL, 1, s, action, fresh, pixel, NULL) != NET_CALL || !*net_error(NULL))
        failures++;

    /* numbers of examples, arrays that are NULL */
    EXPECT(net_get(net, "Pick.dense1.w", before, 6), NET_OK, "");
    EXPECT(net_learn_step(net, 0, s, action, fresh, pixel, &loss), NET_CALL, "n is 0; from 1 to 8");
    EXPECT(net_learn_step(net, 9, s, action, fresh, pixel, &loss), NET_CALL, "n is 9; from 1 to 8");
    EXPECT(net_learn_step(net, INT64_MIN, s, action, fresh, pixel, &loss), NET_CALL, "n is -");
    EXPECT(net_learn_step(net, 8, NULL, action, fresh, pixel, &loss), NET_CALL, "s is NULL");
    EXPECT(net_learn_step(net, 8, s, NULL, fresh, pixel, &loss), NET_CALL,
           "net_learn_step: action is NULL");
    EXPECT(net_Pick(net, 0, s, out), NET_CALL, "net_Pick: n is 0");
    EXPECT(net_Pick(net, INT64_MAX, s, out), NET_CALL, "n is 9223372036854775807");
    EXPECT(net_Pick(net, 1, NULL, out), NET_CALL, "net_Pick: s is NULL");
    EXPECT(net_Pick(net, 1, s, NULL), NET_CALL, "net_Pick: out is NULL");

    /* an action that is none: the line of the program, and nothing has changed */
    s[0] = 1;
    EXPECT(net_learn_step(net, 8, s, wrong, fresh, pixel, &loss), NET_RANGE, "is 3, but its axis has 3 elements");
    EXPECT(net_learn_step(net, 8, s, wrong, fresh, pixel, &loss), NET_RANGE, "3");
    EXPECT(net_get(net, "Pick.dense1.w", w, 6), NET_OK, "");
    if (memcmp(w, before, sizeof w) || net_learn_steps(net) != 0) failures++;

    /* tensors by name */
    EXPECT(net_get(net, "Pick.dense2.w", w, 6), NET_CALL, "no tensor \"Pick.dense2.w\"");
    EXPECT(net_get(net, "Pick.dense1.w", w, 5), NET_CALL, "6 elements, not 5");
    EXPECT(net_set(net, "Pick.dense1.w", w, 7), NET_CALL, "6 elements, not 7");
    EXPECT(net_get(net, NULL, w, 6), NET_CALL, "path is NULL");
    EXPECT(net_set(net, "Pick.dense1.w", NULL, 6), NET_CALL, "values is NULL");
    if (net_shape(net, "Pick.dense1.w", shape) != 2 || shape[0] != 2 || shape[1] != 3) failures++;
    if (net_shape(net, "Pick", NULL) != -1 || net_shape(net, "Pick.dense1.b", NULL) != 1)
        failures++;
    if (net_path(net, -1) || net_path(net, 1000) || !net_path(net, 0)) failures++;

    /* files */
    EXPECT(net_load(net, "nowhere.safetensors"), NET_FILE, "nowhere.safetensors");
    EXPECT(net_load(net, "m.nnd"), NET_FILE, "safetensors file");
    EXPECT(net_load(net, NULL), NET_CALL, "path is NULL");
    EXPECT(net_save(net, "no/such/folder/x"), NET_FILE, "no/such/folder");
    EXPECT(net_save(net, NULL), NET_CALL, "path is NULL");
    EXPECT(net_get(net, "Pick.dense1.w", w, 6), NET_OK, "");
    if (memcmp(w, before, sizeof w)) failures++;

    /* what is right, after all that; then a loss that is not a number */
    EXPECT(net_learn_step(net, 8, s, action, fresh, pixel, &loss), NET_OK, "");
    EXPECT(net_learn_step(net, 1, s, action, fresh, pixel, NULL), NET_OK, "");
    EXPECT(net_save(net, "good.safetensors"), NET_OK, "");
    if (net_learn_steps(net) != 2 || !isfinite(loss) || *net_error(net)) failures++;
    s[1] = NAN;
    EXPECT(net_learn_step(net, 1, s, action, fresh, pixel, nothing), NET_NOT_FINITE, "m.nnd:8");
    EXPECT(net_load(net, "good.safetensors"), NET_OK, "");
    s[1] = 0;
    EXPECT(net_learn_step(net, 1, s, action, fresh, pixel, &loss), NET_OK, "");
    if (net_learn_steps(net) != 3 || !isfinite(loss)) failures++;
    net_free(net);
    if (!failures) printf("all is well\n");
    return failures != 0;
}
