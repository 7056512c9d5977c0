/* The links: drop-tail queues, serialization, latency, loss, outages, in one event loop over time.
 *
 * Events happen at their ideal times: a late wake-up delays the delivery of a packet, never the
 * links' clock. How late deliveries are is counted and decides whether a repetition is good. */
#define _GNU_SOURCE
#include "agenda.h"
#include "emulator.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define LATENESS_BINS 200000 /* of a microsecond */

/* Deliveries to hosts must happen in time. What happens inside the network need only have happened
 * before its first effect outside, which is a latency away: it waits for the next delivery or arrival. */
static struct agenda deliveries, inside;
static struct packet *spare;
static uint32_t lateness[LATENESS_BINS];

/* The agenda with the earliest entry, NULL if there is none. */
static struct agenda *first(void) {
    if (!deliveries.size)
        return inside.size ? &inside : NULL;
    return inside.size && earlier(inside.entries, deliveries.entries) ? &inside : &deliveries;
}

static struct packet *take_packet(void) {
    struct packet *packet = spare;
    if (packet)
        spare = packet->next;
    else
        packet = malloc(sizeof *packet);
    need(packet != NULL, "memory");
    return packet;
}

static void drop(struct packet *packet) {
    packet->next = spare;
    spare = packet;
}

/* Uniform in [0, 1): splitmix64 (Steele, Lea, Flood, "Fast splittable pseudorandom number generators",
 * OOPSLA 2014). */
static double draw(struct emulation *run) {
    uint64_t z = run->random += 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return (double)((z ^ (z >> 31)) >> 11) * 0x1p-53;
}

static void begin(struct emulation *run, int index, struct packet *packet, int64_t at) {
    struct link *link = &run->links[index];
    link->sending = packet;
    schedule(&inside, at + (int64_t)((packet->length + FRAMING) / link->rate * 1e9), SENT, index, packet);
}

static void enqueue(struct emulation *run, struct packet *packet, int64_t at) {
    int index = run->flows[packet->flow].route[packet->way].links[packet->hop];
    struct link *link = &run->links[index];
    if (!link->sending) {
        begin(run, index, packet, at);
        return;
    }
    if (link->waiting + packet->length + FRAMING > link->capacity) {
        drop(packet);
        return;
    }
    link->waiting += packet->length + FRAMING;
    packet->next = NULL;
    if (link->first)
        link->last->next = packet;
    else
        link->first = packet;
    link->last = packet;
}

static void sent(struct emulation *run, int index, struct packet *packet, int64_t at) {
    struct link *link = &run->links[index];
    bool last = packet->hop + 1 == run->flows[packet->flow].route[packet->way].length;
    schedule(last ? &deliveries : &inside, at + link->latency, ARRIVED, index, packet);
    link->sending = NULL;
    if (link->first) {
        struct packet *next = link->first;
        link->first = next->next;
        link->waiting -= next->length + FRAMING;
        begin(run, index, next, at);
    }
}

static void deliver(struct emulation *run, struct packet *packet, int64_t at) {
    const struct flow *flow = &run->flows[packet->flow];
    if (!flow->udp) {
        int64_t late = (now(run) - at) / 1000;
        lateness[late < LATENESS_BINS ? late : LATENESS_BINS - 1]++;
        int tun = run->tuns[packet->way ? flow->src : flow->dst];
        need(write(tun, packet->bytes, (size_t)packet->length) == packet->length, "write to a TUN device");
    }
    drop(packet);
}

static void arrived(struct emulation *run, int index, struct packet *packet, int64_t at) {
    struct link *link = &run->links[index];
    if (link->down || (link->loss > 0 && draw(run) < link->loss))
        drop(packet);
    else if (++packet->hop < run->flows[packet->flow].route[packet->way].length)
        enqueue(run, packet, at);
    else
        deliver(run, packet, at);
}

static void change(struct emulation *run, const struct event *event) {
    struct link *link = &run->links[event->link];
    switch (event->what) {
    case RATE:
        link->rate = event->value;
        break;
    case LATENCY:
        link->latency = (int64_t)(event->value * 1e9);
        break;
    case DOWN:
    case UP:
        link->down = event->what == DOWN;
    }
}

/* Full packets at a constant rate of payload, as a UDP sender of 1472 B each. */
static void send_udp(struct emulation *run, int index, int64_t at) {
    const struct flow *flow = &run->flows[index];
    struct packet *packet = take_packet();
    packet->flow = index;
    packet->way = packet->hop = 0;
    packet->length = MTU;
    enqueue(run, packet, at);
    schedule(&inside, at + (int64_t)((MTU - 28) / flow->udp_rate * 1e9), UDP_DUE, index, NULL);
}

static void step(struct emulation *run, struct agenda *agenda) {
    struct entry due = pop(agenda);
    switch (due.kind) {
    case SENT:
        sent(run, due.index, due.packet, due.at);
        break;
    case ARRIVED:
        arrived(run, due.index, due.packet, due.at);
        break;
    case CHANGED:
        change(run, &run->events[due.index]);
        break;
    case UDP_DUE:
        send_udp(run, due.index, due.at);
    }
}

/* Let happen what is due. */
static void advance(struct emulation *run) {
    int64_t time = now(run);
    struct agenda *next;
    while ((next = first()) && next->entries[0].at <= time)
        step(run, next);
}

/* A packet finds the queues as they are at its time, so what is due before it happens first. */
static void read_host(struct emulation *run, int host) {
    for (;;) {
        struct packet *packet = take_packet();
        ssize_t length = read(run->tuns[host], packet->bytes, MTU);
        if (length <= 0) {
            need(errno == EAGAIN, "read from a TUN device");
            drop(packet);
            return;
        }
        packet->length = (int)length;
        if (packet_flow(run, host, packet)) {
            clip_window(run, packet);
            advance(run);
            enqueue(run, packet, now(run));
        } else {
            drop(packet);
        }
    }
}

static int watch_hosts(struct emulation *run) {
    int poll = epoll_create1(EPOLL_CLOEXEC);
    need(poll >= 0, "epoll");
    for (int host = 0; host < run->num_hosts; host++) {
        struct epoll_event event = {.events = EPOLLIN, .data.u32 = (uint32_t)host};
        need(epoll_ctl(poll, EPOLL_CTL_ADD, run->tuns[host], &event) == 0, "epoll");
    }
    return poll;
}

static int64_t least_latency(const struct emulation *run) {
    int64_t least = run->limit;
    for (int i = 0; i < run->num_links; i++)
        if (run->links[i].latency < least)
            least = run->links[i].latency;
    for (int i = 0; i < run->num_events; i++)
        if (run->events[i].what == LATENCY && run->events[i].value * 1e9 < (double)least)
            least = (int64_t)(run->events[i].value * 1e9);
    return least;
}

/* How long nothing need be done, at most 0.1 s. */
static int64_t idle(const struct emulation *run, int64_t least) {
    int64_t time = now(run), next = time + 100000000;
    if (deliveries.size && deliveries.entries[0].at < next)
        next = deliveries.entries[0].at;
    if (inside.size && inside.entries[0].at + least < next)
        next = inside.entries[0].at + least;
    return next > time ? next - time : 0;
}

void *carry_packets(void *argument) {
    struct emulation *run = argument;
    struct epoll_event ready[MAX_HOSTS];
    be_real_time(50);
    int poll = watch_hosts(run);
    for (int i = 0; i < run->num_events; i++)
        schedule(&inside, run->events[i].at, CHANGED, i, NULL);
    for (int i = 0; i < run->num_flows; i++)
        if (run->flows[i].udp)
            schedule(&inside, run->flows[i].start, UDP_DUE, i, NULL);
    int64_t least = least_latency(run);
    while (!run->finished) {
        struct timespec timeout = {0, idle(run, least)};
        int count = epoll_pwait2(poll, ready, run->num_hosts, &timeout, NULL);
        need(count >= 0 || errno == EINTR, "epoll");
        for (int i = 0; i < count; i++)
            read_host(run, (int)ready[i].data.u32);
        advance(run);
    }
    return NULL;
}

void print_lateness(void) {
    const double quantiles[] = {0.5, 0.99, 1.0};
    uint64_t all = 0;
    for (int i = 0; i < LATENESS_BINS; i++)
        all += lateness[i];
    printf("lateness");
    for (int q = 0; q < 3; q++) {
        uint64_t seen = 0;
        int bin = 0;
        while (bin < LATENESS_BINS - 1 && (seen += lateness[bin]) < (uint64_t)(quantiles[q] * (double)all))
            bin++;
        printf(" %.6f", bin * 1e-6);
    }
    printf("\n");
}
