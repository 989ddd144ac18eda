"""delay.py DEVICE MILLISECONDS: keeps each packet that is routed into a TUN device, which exists, for so long, and
gives it back to the system. Prints a line when it begins."""

import collections
import fcntl
import os
import select
import struct
import sys
import time

# linux/if_tun.h
TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 0x0001, 0x1000
PACKET = 65536

device, delay = sys.argv[1], int(sys.argv[2]) / 1000
tun = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
fcntl.ioctl(tun, TUNSETIFF, struct.pack("16sH22x", device.encode(), IFF_TUN | IFF_NO_PI))
print("delaying", flush=True)
packets = collections.deque()
while True:
    timeout = max(0, packets[0][0] - time.monotonic()) if packets else None
    select.select([tun], [], [], timeout)
    try:
        while True:
            packets.append((time.monotonic() + delay, os.read(tun, PACKET)))
    except BlockingIOError:
        pass
    while packets and packets[0][0] <= time.monotonic():
        os.write(tun, packets.popleft()[1])
