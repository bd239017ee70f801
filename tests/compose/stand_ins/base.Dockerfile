# A minimal Debian, from packages.
FROM scratch
ARG ROOTFS
ADD ${ROOTFS} /
