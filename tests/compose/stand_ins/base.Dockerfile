# A small Debian, from packages.
FROM scratch
ARG ROOTFS
ADD ${ROOTFS} /
