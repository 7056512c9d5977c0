/* What the emulator reads and changes in packets: which flow they belong to, the advertised window. */
#include "emulator.h"

#include <arpa/inet.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <string.h>

static struct tcphdr *tcp_header(struct packet *packet) {
    return (struct tcphdr *)(packet->bytes + 4 * (packet->bytes[0] & 15));
}

int packet_flow(struct emulation *run, int host, struct packet *packet) {
    const struct iphdr *ip = (const struct iphdr *)packet->bytes;
    if (packet->length < 40 || ip->version != 4 || ip->protocol != IPPROTO_TCP)
        return false;
    packet->flow = ntohs(tcp_header(packet)->dest) - FIRST_PORT;
    if (packet->flow < 0 || packet->flow >= run->num_flows)
        return false;
    packet->way = run->flows[packet->flow].src == host ? 0 : 1;
    packet->hop = 0;
    return true;
}

/* The window scale in the options of a SYN, 0 if there is none. */
static int scale_option(const struct tcphdr *tcp) {
    const unsigned char *option = (const unsigned char *)(tcp + 1);
    const unsigned char *end = (const unsigned char *)tcp + 4 * tcp->doff;
    while (option < end && *option != TCPOPT_EOL) {
        if (*option == TCPOPT_WINDOW)
            return option[2];
        option += *option == TCPOPT_NOP || option + 1 >= end || option[1] < 2 ? 1 : option[1];
    }
    return 0;
}

/* Clip the advertised window, as a receiver with a buffer of that size would; checksum by RFC 1624. */
void clip_window(struct emulation *run, struct packet *packet) {
    struct tcphdr *tcp = tcp_header(packet);
    int *shift = &run->flows[packet->flow].shift[packet->way];
    if (tcp->syn)
        *shift = scale_option(tcp);
    long most = run->window >> (tcp->syn ? 0 : *shift);
    if (ntohs(tcp->window) <= most)
        return;
    uint16_t window = htons((uint16_t)most);
    uint32_t sum = (uint16_t)~tcp->check + (uint32_t)(uint16_t)~tcp->window + window;
    sum = (sum & 0xffff) + (sum >> 16);
    tcp->check = (uint16_t)~(sum + (sum >> 16));
    tcp->window = window;
}
