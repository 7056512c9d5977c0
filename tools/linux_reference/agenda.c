/* A binary heap. */
#include "agenda.h"

#include "emulator.h"

static uint64_t made;

bool earlier(const struct entry *a, const struct entry *b) {
    return a->at < b->at || (a->at == b->at && a->order < b->order);
}

void schedule(struct agenda *agenda, int64_t at, enum kind kind, int index, struct packet *packet) {
    if (agenda->size == agenda->room) {
        agenda->room = agenda->room ? 2 * agenda->room : 4096;
        agenda->entries = realloc(agenda->entries, (size_t)agenda->room * sizeof *agenda->entries);
        need(agenda->entries != NULL, "memory");
    }
    struct entry entry = {at, made++, kind, index, packet};
    long place = agenda->size++;
    while (place > 0 && earlier(&entry, &agenda->entries[(place - 1) / 2])) {
        agenda->entries[place] = agenda->entries[(place - 1) / 2];
        place = (place - 1) / 2;
    }
    agenda->entries[place] = entry;
}

struct entry pop(struct agenda *agenda) {
    struct entry *entries = agenda->entries, top = entries[0], last = entries[--agenda->size];
    long place = 0, child;
    while ((child = 2 * place + 1) < agenda->size) {
        if (child + 1 < agenda->size && earlier(&entries[child + 1], &entries[child]))
            child++;
        if (!earlier(&entries[child], &last))
            break;
        entries[place] = entries[child];
        place = child;
    }
    entries[place] = last;
    return top;
}
