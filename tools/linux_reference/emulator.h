/* Shared by the parts of the emulator. Times are nanoseconds since `origin`, rates bytes per second. */
#ifndef EMULATOR_H
#define EMULATOR_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define MTU 1500
#define FRAMING 2 /* bytes that a link adds to each packet, as PPP does */
#define MAX_HOSTS 200
#define MAX_LINKS 400
#define MAX_FLOWS 100
#define MAX_HOPS 16
#define FIRST_PORT 5000 /* flow i uses this port + i at both ends, by which its packets are known */

struct packet {
    struct packet *next;
    int flow, way, hop, length; /* way 0: from the flow's source, 1: back to it */
    unsigned char bytes[MTU];
};

struct link { /* one direction */
    double rate, loss;
    int64_t latency;
    long capacity, waiting; /* bytes of the buffer, of packets that wait; the one being sent is outside */
    bool down;
    struct packet *sending, *first, *last;
};

struct route {
    int length, links[MAX_HOPS];
};

struct flow {
    bool udp;
    int src, dst;
    long nbytes;
    double udp_rate;
    int64_t start, begun, done; /* done: -1 until the last byte has arrived */
    struct route route[2];
    int shift[2]; /* window scale of each end: 0 the source's, 1 the destination's */
    int sender, listener, receiver;
    long sent, received;
};

enum change { RATE, LATENCY, DOWN, UP };

struct event { /* a declared change of one link */
    int64_t at;
    int link;
    enum change what;
    double value;
};

struct emulation {
    int64_t origin, limit;
    int num_hosts, num_links, num_flows, num_events;
    int namespaces[MAX_HOSTS], tuns[MAX_HOSTS];
    struct link links[MAX_LINKS];
    struct flow flows[MAX_FLOWS];
    struct event *events;
    long window; /* the largest advertised window, bytes */
    char congestion_control[16];
    uint64_t random;
    volatile bool finished;
};

int64_t now(const struct emulation *run);
void need(bool fine, const char *what); /* leaves with errno's text if not fine */
void be_real_time(int priority);

void make_hosts(struct emulation *run);
void enter_host(const struct emulation *run, int host);
uint32_t address(int host); /* network byte order */

void *carry_packets(void *run); /* a thread: the links */
void print_lateness(void);

void open_flows(struct emulation *run);
void drive_flows(struct emulation *run); /* returns when all TCP flows are done or the limit is passed */

int packet_flow(struct emulation *run, int host, struct packet *packet); /* false: not ours */
void clip_window(struct emulation *run, struct packet *packet);

#endif
