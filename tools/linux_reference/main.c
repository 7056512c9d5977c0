/* Run one repetition of a case: described on standard input, seconds per flow on standard output.
 *
 *   emulator < case.txt
 *
 * Lines in, SI units, links and flows numbered in order of appearance:
 *   hosts N | cc NAME | window BYTES | seed N | limit SECONDS
 *   link BYTES_PER_S LATENCY LOSS BUFFER
 *   tcp SRC DST BYTES START N LINK.. N LINK..      (the route there, the route back)
 *   udp SRC DST BYTES_PER_S START N LINK.. N LINK..
 *   event TIME LINK rate|latency|down|up VALUE
 * Lines out: "flow SECONDS" per flow (-1: not done, or UDP), "lateness P50 P99 MAX". */
#define _GNU_SOURCE
#include "emulator.h"

#include <errno.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

static struct emulation run = {.limit = 300000000000};

int64_t now(const struct emulation *one) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000000 + time.tv_nsec - one->origin;
}

void need(bool fine, const char *what) {
    if (fine)
        return;
    fprintf(stderr, "%s: %s\n", what, strerror(errno));
    exit(1);
}

void be_real_time(int priority) {
    struct sched_param parameter = {.sched_priority = priority};
    need(sched_setscheduler(0, SCHED_FIFO, &parameter) == 0, "SCHED_FIFO (are you root?)");
}

static void check(bool fine, const char *line) {
    if (fine)
        return;
    fprintf(stderr, "not understood: %s\n", line);
    exit(2);
}

static int64_t nanoseconds(double seconds) {
    return (int64_t)(seconds * 1e9);
}

static const char *read_route(struct route *route, const char *text) {
    int used;
    check(sscanf(text, "%d%n", &route->length, &used) == 1, text);
    check(route->length > 0 && route->length <= MAX_HOPS, text);
    for (int i = 0; i < route->length; i++) {
        text += used;
        check(sscanf(text, "%d%n", &route->links[i], &used) == 1, text);
        check(route->links[i] >= 0 && route->links[i] < run.num_links, text);
    }
    return text + used;
}

static void read_flow(bool udp, const char *text) {
    struct flow flow = {.udp = udp, .begun = -1, .done = -1};
    double amount, start;
    int used;
    check(run.num_flows < MAX_FLOWS, text);
    check(sscanf(text, "%d %d %lf %lf%n", &flow.src, &flow.dst, &amount, &start, &used) == 4, text);
    check(flow.src >= 0 && flow.src < run.num_hosts && flow.dst >= 0 && flow.dst < run.num_hosts, text);
    if (udp)
        flow.udp_rate = amount;
    else
        flow.nbytes = (long)amount;
    flow.start = nanoseconds(start);
    read_route(&flow.route[1], read_route(&flow.route[0], text + used));
    run.flows[run.num_flows++] = flow;
}

static void read_event(const char *text) {
    const char *const names[] = {"rate", "latency", "down", "up"};
    char name[16];
    double time;
    struct event event = {0};
    check(sscanf(text, "%lf %d %15s %lf", &time, &event.link, name, &event.value) == 4, text);
    check(event.link >= 0 && event.link < run.num_links, text);
    while (strcmp(name, names[event.what]) != 0)
        check(++event.what <= UP, text);
    event.at = nanoseconds(time);
    run.events = realloc(run.events, (size_t)(run.num_events + 1) * sizeof event);
    need(run.events != NULL, "memory");
    run.events[run.num_events++] = event;
}

static void read_link(const char *text) {
    struct link link = {0};
    double latency;
    check(run.num_links < MAX_LINKS, text);
    check(sscanf(text, "%lf %lf %lf %ld", &link.rate, &latency, &link.loss, &link.capacity) == 4, text);
    link.latency = nanoseconds(latency);
    run.links[run.num_links++] = link;
}

static void read_line(const char *line) {
    char word[16];
    int used = 0;
    double seconds;
    check(sscanf(line, "%15s%n", word, &used) == 1, line);
    const char *rest = line + used;
    if (!strcmp(word, "link"))
        read_link(rest);
    else if (!strcmp(word, "tcp") || !strcmp(word, "udp"))
        read_flow(!strcmp(word, "udp"), rest);
    else if (!strcmp(word, "event"))
        read_event(rest);
    else if (!strcmp(word, "hosts"))
        check(sscanf(rest, "%d", &run.num_hosts) == 1 && run.num_hosts <= MAX_HOSTS, line);
    else if (!strcmp(word, "cc"))
        check(sscanf(rest, "%15s", run.congestion_control) == 1, line);
    else if (!strcmp(word, "window"))
        check(sscanf(rest, "%ld", &run.window) == 1, line);
    else if (!strcmp(word, "seed"))
        check(sscanf(rest, "%lu", &run.random) == 1, line);
    else if (!strcmp(word, "limit")) {
        check(sscanf(rest, "%lf", &seconds) == 1, line);
        run.limit = nanoseconds(seconds);
    } else
        check(false, line);
}

int main(void) {
    char line[4096];
    pthread_t links;
    while (fgets(line, sizeof line, stdin))
        read_line(line);
    make_hosts(&run);
    open_flows(&run);
    need(mlockall(MCL_CURRENT | MCL_FUTURE) == 0, "mlockall");
    run.origin = now(&run) + 100000000; /* the links stand before the first flow starts */
    need(pthread_create(&links, NULL, carry_packets, &run) == 0, "thread");
    be_real_time(40);
    drive_flows(&run);
    run.finished = true;
    need(pthread_join(links, NULL) == 0, "thread");
    for (int i = 0; i < run.num_flows; i++) {
        const struct flow *flow = &run.flows[i];
        printf("flow %.6f\n", flow->done < 0 ? -1.0 : (double)(flow->done - flow->begun) * 1e-9);
    }
    print_lateness();
    return 0;
}
