/* One network namespace per host, each with one TUN device without offloads. */
#define _GNU_SOURCE
#include "emulator.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

uint32_t address(int host) {
    return htonl((10u << 24) + 1 + (uint32_t)host);
}

static void set_sysctl(const char *name, const char *value) {
    char path[128];
    snprintf(path, sizeof path, "/proc/sys/net/ipv4/%s", name);
    int file = open(path, O_WRONLY);
    need(file >= 0, path);
    need(write(file, value, strlen(value)) > 0, path);
    close(file);
}

static void set_address(int control, struct ifreq *request, unsigned long what, uint32_t value) {
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = value};
    memcpy(&request->ifr_addr, &in, sizeof in);
    need(ioctl(control, what, request) == 0, "address of a TUN device");
}

static int open_tun(int host) {
    struct ifreq request = {.ifr_name = "tun0", .ifr_flags = IFF_TUN | IFF_NO_PI};
    int tun = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    need(tun >= 0, "/dev/net/tun");
    need(ioctl(tun, TUNSETIFF, &request) == 0, "TUNSETIFF");
    int control = socket(AF_INET, SOCK_DGRAM, 0);
    need(control >= 0, "socket");
    request.ifr_qlen = 50000; /* the emulator's links drop, this queue never */
    need(ioctl(control, SIOCSIFTXQLEN, &request) == 0, "SIOCSIFTXQLEN");
    set_address(control, &request, SIOCSIFADDR, address(host));
    set_address(control, &request, SIOCSIFNETMASK, htonl(0xff000000));
    request.ifr_flags = IFF_UP | IFF_RUNNING;
    need(ioctl(control, SIOCSIFFLAGS, &request) == 0, "SIOCSIFFLAGS");
    close(control);
    return tun;
}

void make_hosts(struct emulation *run) {
    for (int host = 0; host < run->num_hosts; host++) {
        need(unshare(CLONE_NEWNET) == 0, "unshare (are you root?)");
        run->namespaces[host] = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
        need(run->namespaces[host] >= 0, "/proc/thread-self/ns/net");
        set_sysctl("tcp_no_metrics_save", "1");
        set_sysctl("tcp_rmem", "4096 131072 67108864");
        set_sysctl("tcp_wmem", "4096 16384 67108864");
        run->tuns[host] = open_tun(host);
    }
}

void enter_host(const struct emulation *run, int host) {
    need(setns(run->namespaces[host], CLONE_NEWNET) == 0, "setns");
}
