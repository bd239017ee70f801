# A stand-in for prom/prometheus: Debian's package, with the same user, paths and command line.
FROM prometheus-base
RUN install --directory --owner=nobody --group=nogroup /prometheus
USER nobody
ENTRYPOINT ["/usr/bin/prometheus"]
