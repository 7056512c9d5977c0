/* What is to happen, by time. */
#ifndef AGENDA_H
#define AGENDA_H

#include <stdbool.h>
#include <stdint.h>

struct packet;

enum kind { SENT, ARRIVED, CHANGED, UDP_DUE };

struct entry {
    int64_t at;
    uint64_t order; /* equal times in the order of their making */
    enum kind kind;
    int index; /* of the link, event or flow */
    struct packet *packet;
};

struct agenda {
    struct entry *entries; /* the first is the earliest */
    long size, room;
};

bool earlier(const struct entry *a, const struct entry *b);
void schedule(struct agenda *agenda, int64_t at, enum kind kind, int index, struct packet *packet);
struct entry pop(struct agenda *agenda);

#endif
