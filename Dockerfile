# The image: the pinned packages and the checkout, nothing else. Another Python image or a mirror: --build-arg PYTHON_IMAGE=...
ARG PYTHON_IMAGE=python:3.11-slim-bookworm

FROM ${PYTHON_IMAGE} AS packages
# pip's own settings, where the build machine reaches its registry by them. Not kept in the image.
ARG PIP_INDEX_URL
ARG PIP_PROXY
COPY requirements.txt /tmp/
RUN python -m venv /opt/packages \
 && /opt/packages/bin/pip install --no-cache-dir --no-deps --require-hashes -r /tmp/requirements.txt

FROM ${PYTHON_IMAGE}
LABEL org.opencontainers.image.title="broadcaster" \
      org.opencontainers.image.description="One campaign, every channel, every village, and every count true." \
      org.opencontainers.image.licenses="Apache-2.0"
# A number, so that an orchestrator can see that it is not root. The home folder is the only place that it may write to.
RUN useradd --system --uid 10001 --no-create-home broadcaster \
 && install -d -o broadcaster -g broadcaster -m 0700 /var/lib/broadcaster
COPY --from=packages /opt/packages /opt/packages
COPY LICENSE NOTICE /opt/broadcaster/
COPY templates /opt/broadcaster/templates
COPY audio /opt/broadcaster/audio
COPY channels /opt/broadcaster/channels
COPY broadcaster /opt/broadcaster/broadcaster
COPY scripts/lib/broadcaster /opt/packages/bin/broadcaster
ENV PATH=/opt/packages/bin:$PATH \
    PYTHONPATH=/opt/broadcaster \
    PYTHONUNBUFFERED=1 \
    BROADCASTER_HOME=/var/lib/broadcaster
# Compiled while the image is built: the running container cannot write beside the code.
RUN python -m compileall -q /opt/broadcaster
USER 10001
VOLUME /var/lib/broadcaster
EXPOSE 8000
ENTRYPOINT ["broadcaster"]
CMD ["up", "--host", "0.0.0.0"]
