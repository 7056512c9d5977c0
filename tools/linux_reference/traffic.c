/* The transfers: real TCP sockets in the hosts' namespaces, all driven by one thread. */
#define _GNU_SOURCE
#include "emulator.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum role { LISTEN, SEND, RECEIVE };

static char block[1 << 18];

static struct sockaddr_in end(int host, int flow) {
    return (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons((uint16_t)(FIRST_PORT + flow)), .sin_addr.s_addr = address(host)};
}

static int open_socket(const struct emulation *run, int host, int flow) {
    struct sockaddr_in here = end(host, flow);
    enter_host(run, host);
    int one = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    need(one >= 0, "socket");
    const char *name = run->congestion_control;
    need(setsockopt(one, IPPROTO_TCP, TCP_CONGESTION, name, (socklen_t)strlen(name)) == 0, name);
    need(bind(one, (struct sockaddr *)&here, sizeof here) == 0, "bind");
    return one;
}

void open_flows(struct emulation *run) {
    for (int i = 0; i < run->num_flows; i++) {
        struct flow *flow = &run->flows[i];
        if (flow->udp)
            continue;
        flow->listener = open_socket(run, flow->dst, i);
        need(listen(flow->listener, 1) == 0, "listen");
        flow->sender = open_socket(run, flow->src, i);
    }
}

static void watch(int poll, int socket, enum role role, int flow, uint32_t events) {
    struct epoll_event event = {.events = events, .data.u64 = (uint64_t)role << 32 | (uint64_t)flow};
    need(epoll_ctl(poll, EPOLL_CTL_ADD, socket, &event) == 0, "epoll");
}

static void begin(struct emulation *run, int poll, int index) {
    struct flow *flow = &run->flows[index];
    struct sockaddr_in there = end(flow->dst, index);
    watch(poll, flow->listener, LISTEN, index, EPOLLIN);
    flow->begun = now(run);
    int result = connect(flow->sender, (struct sockaddr *)&there, sizeof there);
    need(result == 0 || errno == EINPROGRESS, "connect");
    watch(poll, flow->sender, SEND, index, EPOLLOUT);
}

static void fill(struct flow *flow, int poll) {
    while (flow->sent < flow->nbytes) {
        long left = flow->nbytes - flow->sent;
        ssize_t count = send(flow->sender, block, left < (long)sizeof block ? (size_t)left : sizeof block, 0);
        if (count < 0) {
            need(errno == EAGAIN, "send");
            return;
        }
        flow->sent += count;
    }
    shutdown(flow->sender, SHUT_WR);
    epoll_ctl(poll, EPOLL_CTL_DEL, flow->sender, NULL);
}

/* Take what has arrived; true when the flow's last byte has. */
static bool empty(const struct emulation *run, struct flow *flow, int poll) {
    ssize_t count;
    while ((count = recv(flow->receiver, block, sizeof block, MSG_TRUNC)) > 0)
        flow->received += count;
    need(count == 0 || errno == EAGAIN, "recv");
    if (flow->received < flow->nbytes)
        return false;
    flow->done = now(run);
    epoll_ctl(poll, EPOLL_CTL_DEL, flow->receiver, NULL);
    return true;
}

static bool serve(struct emulation *run, int poll, const struct epoll_event *event) {
    int index = (int)(event->data.u64 & 0xffffffff);
    struct flow *flow = &run->flows[index];
    switch ((enum role)(event->data.u64 >> 32)) {
    case LISTEN:
        flow->receiver = accept4(flow->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        need(flow->receiver >= 0, "accept");
        watch(poll, flow->receiver, RECEIVE, index, EPOLLIN);
        return false;
    case SEND:
        fill(flow, poll);
        return false;
    case RECEIVE:
        return empty(run, flow, poll);
    }
    return false;
}

/* Begin the flows that are due; return when the next one is, or the limit. */
static int64_t begin_due(struct emulation *run, int poll) {
    int64_t next = run->limit;
    for (int i = 0; i < run->num_flows; i++) {
        struct flow *flow = &run->flows[i];
        if (flow->udp || flow->begun >= 0)
            continue;
        if (flow->start <= now(run))
            begin(run, poll, i);
        else if (flow->start < next)
            next = flow->start;
    }
    return next;
}

void drive_flows(struct emulation *run) {
    struct epoll_event ready[2 * MAX_FLOWS];
    int left = 0, poll = epoll_create1(EPOLL_CLOEXEC);
    need(poll >= 0, "epoll");
    for (int i = 0; i < run->num_flows; i++)
        left += !run->flows[i].udp;
    while (left > 0 && now(run) < run->limit) {
        int64_t wait = begin_due(run, poll) - now(run);
        wait = wait > 0 ? wait : 0;
        struct timespec timeout = {wait / 1000000000, wait % 1000000000};
        int count = epoll_pwait2(poll, ready, 2 * MAX_FLOWS, &timeout, NULL);
        need(count >= 0 || errno == EINTR, "epoll");
        for (int i = 0; i < count; i++)
            left -= serve(run, poll, &ready[i]);
    }
}
