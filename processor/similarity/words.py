"""The words the verifier knows, English and Chinese in one table each: a word in, what it stands for out.

Everything here was written for service questions. A group of synonyms holds words that may stand for one another in
any such question; where that is not so for one question, the words are not in one group. A line of filler holds what
changes no question by being there.
"""

from __future__ import annotations

# One group a line, the first word stands for all.
_SYNONYMS = """
parcel package
film movie
picture photo photograph 照片 相片 图片
start begin commence
repair fix
shop store
email e-mail mail
color colour
center centre
favorite favourite
program programme
large big
quick fast
quickly rapidly
kid child children
delete erase
vehicle automobile car
bike bicycle
tv television
sofa couch
trash garbage rubbish
whole entire
arrive came arrived
about regarding concerning
doctor physician
lawyer attorney
assist help
people persons
woman women
man men
summary synopsis
summarise summarize
organise organize
analyse analyze
optimise optimize
translate translation
also too
maybe perhaps
faulty defective
receive get
buy purchase
account 账号 帐号 账户 帐户
mobile cellphone
usually normally
reply response answer
job employment
easy simple
difficult hard
chat conversation
choose select
write compose
英文 英语 英国话
法文 法语
日文 日语
德文 德语
俄文 俄语
韩文 韩语
中文 汉语 华语
西班牙文 西班牙语
葡萄牙文 葡萄牙语
意大利文 意大利语
阿拉伯文 阿拉伯语
可以 能 能够
如何 怎么 怎样 咋
什么 啥
哪里 哪儿 哪
何时 几时 啥时候
为什么 为何 为啥
登录 登陆
修改 更改 变更
删除 删掉 删
查询 查看 查 查一查
购买 买
价格 价钱
撰写 写 编写
总结 概括 归纳
自行车 单车
电脑 计算机
西红柿 番茄
土豆 马铃薯
医生 大夫
爸爸 父亲
妈妈 母亲
星期 礼拜 周
今天 今日
明天 明日
昨天 昨日
马上 立刻 立即
如果 假如 要是 若
因为 由于
但是 可是 不过
和 与 跟 及 以及
或者 或
已经 已
里 里面 中
没有 没
开始 起始
手机号 手机号码
您 你
坏 坏掉
需要 需
推荐 建议
介绍 讲讲 讲
解释 解释一下 说明
翻译 译
原因 缘由
使用 用
区别 差别 差异 不同
好处 益处
方法 办法 方式
告诉 告知
餐厅 餐馆 饭店
超市 超级市场
孩子 小孩
忘记 忘
感冒 着凉
"""

# What changes no question by being there.
FILLER = frozenset(
    """
a an the this these those my our some any do does please pls kindly
的 了 吗 么 呢 吧 啊 呀 哦 嘛 把 将 一下 这 这个 那个 该 个 地 得
一个 一篇 一首 一份 一段 一种 一封 下
""".split()  # noqa: SIM905
)

LANGUAGES = frozenset(
    """
arabic chinese czech danish dutch english finnish french german greek hebrew hindi hungarian
indonesian italian japanese korean latin mandarin norwegian persian polish portuguese romanian
russian spanish swahili swedish thai turkish ukrainian urdu vietnamese
英文 法文 日文 德文 俄文 韩文 中文 西班牙文 葡萄牙文 意大利文 阿拉伯文
粤语 泰语 泰文 越南语 越南文 拉丁文 希腊语 印地语 土耳其语 荷兰语 波兰语
""".split()  # noqa: SIM905
)

# Words and what each is the opposite of; a pair a line, or several.
_OPPOSITES = """
ascending/descending increase/decrease more/less most/least first/last before/after above/below add/remove
added/removed enable/disable enabled/disabled open/close opened/closed start/stop buy/sell send/receive
sent/received upload/download import/export encode/decode encrypt/decrypt minimum/maximum smallest/largest
shortest/longest fastest/slowest highest/lowest best/worst true/false positive/negative left/right on/off
formal/informal active/passive old/new hot/cold accept/decline allow/deny login/logout sender/recipient
advantage/disadvantage pros/cons male/female lock/unlock subscribe/unsubscribe borrow/lend win/lose up/down
in/out early/late push/pull install/uninstall connect/disconnect cheap/expensive early/late accept/reject
升序/降序 升/降 上升/下降 开/关 打开/关闭 开启/关闭 上传/下载 购买/出售 买/卖 收/发 接收/发送 收到/发出 增加/减少
增/减 添加/删除 启用/禁用 最大/最小 最高/最低 最长/最短 最好/最差 最快/最慢 最新/最旧 优点/缺点 好处/坏处 左/右
左边/右边 上/下 前/后 之前/之后 以前/以后 登录/退出 登录/注销 注册/注销 入/出 进/出 进口/出口 导入/导出 编码/解码
加密/解密 压缩/解压 安装/卸载 锁定/解锁 绑定/解绑 关注/取关 男/女 内/外 冷/热 新/旧 多/少 大/小 高/低 长/短 快/慢
早/晚 正/反 真/假 同意/拒绝 接受/拒绝 允许/禁止 借/还 借入/借出 充值/提现 存/取 存款/取款 转入/转出 涨/跌 上涨/下跌
赢/输 胜/负 正式/非正式 主动/被动 公开/私密 连接/断开 首/尾 开头/结尾 上午/下午 白天/晚上 卖家/买家 收件人/寄件人
发件人/收件人 增大/减小 调高/调低 放大/缩小 提前/推迟 加/减 乘/除 推/拉 静音/取消静音 国内/国外 线上/线下
"""

NEGATIONS = frozenset("not no never none nothing without neither nor".split())  # noqa: SIM905

# Numbers as words; "one" is also a pronoun, and means the same in both prompts then.
ENGLISH_NUMBERS = {
    word: str(value)
    for value, word in [
        *enumerate(
            """zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen
            seventeen eighteen nineteen twenty""".split()  # noqa: SIM905
        ),
        (30, "thirty"), (40, "forty"), (50, "fifty"), (60, "sixty"), (70, "seventy"), (80, "eighty"), (90, "ninety"),
        (100, "hundred"), (1000, "thousand"), (12, "dozen"),
    ]
}  # fmt: skip

# Plurals that are other words than their singulars seem, and words that only look like plurals.
NO_PLURAL = frozenset(
    """
news goods customs glasses savings species series means lens gas bus plus minus status canvas always its his hers
yes this thus us is was has does less address process access business class pass boss loss miss bless success express
across unless focus virus bonus campus census physics mathematics economics politics ethics arms pants jeans windows
works woods damages manners spirits contents
""".split()  # noqa: SIM905
)

# Written in capitals these are other words.
CAPITAL_WORDS = frozenset({"US", "IT", "WHO", "AIDS", "OR", "IN", "Turkey", "China", "Polish", "May", "March"})


def _by_word(groups: str) -> dict[str, str]:
    return {word: line.split()[0] for line in groups.strip().splitlines() for word in line.split()}


def _opposites(pairs: str) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for pair in pairs.split():
        one, other = (SYNONYMS.get(word, word) for word in pair.split("/"))
        found.setdefault(one, set()).add(other)
        found.setdefault(other, set()).add(one)
    return found


SYNONYMS = _by_word(_SYNONYMS)
OPPOSITES = _opposites(_OPPOSITES)
