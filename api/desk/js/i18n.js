// Every word of the desk, Chinese first. `t(key, {name})` fills {name}; a key nobody wrote shows as itself.

const WORDS = {
  "app.name": ["邻里网关 · 值班台", "Linli Gateway · Desk"],
  "lang.other": ["English", "中文"],
  "theme.auto": ["主题：跟随系统", "Theme: system"],
  "theme.dark": ["主题：深色", "Theme: dark"],
  "theme.light": ["主题：浅色", "Theme: light"],

  "login.lead": ["粘贴管理员发给值班室的访问令牌。", "Paste the access token the administrator gave to this desk."],
  "login.token": ["访问令牌", "Access token"],
  "login.remember": ["在这台电脑上记住", "Remember on this machine"],
  "login.rememberHint": ["仅在值班室专用电脑上勾选；否则关闭页面后需重新输入。", "Only on the guard room's own machine; otherwise the token is forgotten when the page closes."],
  "login.enter": ["进入值班台", "Open the desk"],
  "login.entering": ["正在验证…", "Checking…"],
  "login.leave": ["退出", "Leave"],
  "login.refused": ["令牌无效、已过期或已被撤销，请向管理员索取新的令牌。", "This token is wrong, expired or revoked. Ask the administrator for a new one."],
  "login.forbidden": ["此令牌没有查看告警的权限（alerts:read）。", "This token may not read alerts (alerts:read)."],
  "login.unreachable": ["连接不上网关，请检查本机网络与网关主机。", "The gateway cannot be reached. Check this machine's network and the gateway host."],

  "nav.label": ["视图", "Views"],
  "nav.alerts": ["告警", "Alerts"],
  "nav.devices": ["设备", "Devices"],

  "state.live": ["实时", "Live"],
  "state.connecting": ["连接中…", "Connecting…"],
  "state.retrying": ["重连中", "Reconnecting"],
  "state.stale": ["数据已过期 {s} 秒", "Data {s} s old"],
  "state.retryingStale": ["重连中 · 数据已过期 {s} 秒", "Reconnecting · data {s} s old"],
  "state.banner": ["与网关的连接中断：下面显示的可能不是最新情况。", "The connection to the gateway is down: what you see may be out of date."],
  "state.problems": ["网关自检发现问题：{text}", "The gateway reports: {text}"],

  "sound.on": ["声音开", "Sound on"],
  "sound.off": ["已静音", "Muted"],
  "sound.blocked": ["启用声音", "Enable sound"],

  "filter.which": ["显示范围", "Which alerts"],
  "filter.open": ["未关闭", "Open"],
  "filter.all": ["全部", "All"],
  "filter.severity": ["级别", "Severity"],
  "filter.kind": ["设备类型", "Kind of device"],
  "filter.offline": ["只看离线", "Offline only"],
  "filter.search": ["按名称或位置查找", "Find by name or place"],

  "sev.1": ["P1 紧急", "P1 urgent"],
  "sev.2": ["P2 重要", "P2 warning"],
  "sev.3": ["P3 一般", "P3 routine"],

  "queue.empty": ["没有需要处理的告警", "Nothing needs you"],
  "queue.emptyHint": ["新告警会自动出现在这里，紧急告警会响铃。", "New alerts appear here by themselves; urgent ones ring."],
  "queue.filtered": ["当前筛选下没有告警", "No alert matches these filters"],
  "queue.loading": ["正在读取告警…", "Reading the alerts…"],
  "queue.failed": ["告警读取失败：{why}", "The alerts could not be read: {why}"],
  "queue.retry": ["重试", "Try again"],
  "queue.hidden": ["另有 {n} 条被抑制或搁置", "{n} more are suppressed or shelved"],
  "queue.show": ["显示", "Show"],
  "queue.hide": ["隐藏", "Hide"],
  "queue.more": ["显示更多", "Show more"],
  "queue.new": ["新告警：{severity}，{title}，{place}", "New alert: {severity}, {title}, {place}"],
  "keys.hint": ["↑↓ 选择 · Enter 查看 · A 确认 · Esc 返回列表", "↑↓ choose · Enter look · A acknowledge · Esc back to the list"],

  "mark.active": ["持续中", "Active"],
  "mark.cleared": ["已恢复", "Cleared"],
  "mark.acked": ["已确认", "Acknowledged"],
  "mark.unacked": ["待确认", "New"],
  "mark.closed": ["已关闭", "Closed"],
  "mark.late": ["补传", "Late report"],
  "mark.test": ["测试", "Test"],
  "mark.shelved": ["已搁置", "Shelved"],
  "mark.suppressed": ["已抑制", "Suppressed"],
  "mark.chattering": ["频繁抖动", "Comes and goes"],
  "mark.level.desk": ["值班台", "Desk"],
  "mark.level.grid_worker": ["已上报网格员", "Grid worker told"],
  "mark.level.community": ["已上报社区", "Community told"],
  "mark.level.sub_district": ["已上报街道", "Sub-district told"],
  "detail.told": ["已通知", "Told"],

  "detail.label": ["告警详情", "Alert"],
  "detail.none": ["从左侧选择一条告警", "Choose an alert"],
  "detail.noneHint": ["用 ↑↓ 键或鼠标选择，按 A 确认。", "Use ↑↓ or the mouse; A acknowledges."],
  "detail.back": ["返回列表", "Back to the list"],
  "detail.advice": ["怎么办", "What to do"],
  "detail.place": ["位置", "Place"],
  "detail.device": ["设备", "Device"],
  "detail.first": ["首次发生", "First seen"],
  "detail.last": ["最近一次", "Last seen"],
  "detail.clearedAt": ["恢复时间", "Cleared"],
  "detail.count": ["次数", "Count"],
  "detail.subject": ["对象", "Subject"],
  "detail.work": ["派单", "Case"],
  "detail.zero": ["六零目标", "Six-zero goal"],
  "detail.shelvedUntil": ["搁置至", "Shelved until"],
  "detail.times": ["{n} 次", "{n}×"],
  "detail.facts": ["设备上报", "Reported"],
  "detail.snapshot": ["现场抓拍", "Snapshot"],
  "detail.enrolled": ["登记照片", "Enrolled photograph"],
  "detail.history": ["处理记录", "History"],
  "detail.noHistory": ["还没有记录", "Nothing yet"],
  "detail.failed": ["详情读取失败：{why}", "The alert could not be read: {why}"],
  "detail.updated": ["此告警刚被更新", "This alert has just changed"],

  "image.loading": ["图片读取中…", "Loading the picture…"],
  "image.gone": ["图片已过期或被删除", "The picture has expired or was deleted"],
  "image.forbidden": ["此令牌无权查看图片", "This token may not see pictures"],
  "image.failed": ["图片读取失败", "The picture could not be loaded"],
  "match.title": ["人脸比对：{name}", "Face comparison: {name}"],
  "match.yes": ["在阈值之内：可能是同一人", "Within the threshold: may be the same person"],
  "match.no": ["超出阈值：不能认定为同一人", "Beyond the threshold: not to be taken for the same person"],
  "match.figures": ["距离 {distance} / 阈值 {threshold}（越小越像）", "Distance {distance} / threshold {threshold} (lower is closer)"],
  "match.judge": ["请以肉眼比对为准。", "Compare with your own eyes before you act."],

  "notThem.ask": ["不是此人", "Not this person"],
  "notThem.sure": ["确定现场的人不是{name}？此后与现场相似的脸不再认作{name}，操作会记录在案。", "Sure that this is not {name}? From now on a face like this one is not taken for {name}. This is recorded under this desk's name."],
  "notThem.yes": ["确认不是此人", "Confirm: not this person"],
  "notThem.done": ["已记录：不是{name}，从下一次抓拍起生效", "Recorded: not {name}; it holds from the next picture on"],

  "view.placeholder": ["例如：已按新角度固定、搭建已获批准", "For instance: fixed at its new angle, the shed is permitted"],
  "view.yes": ["确认画面正常", "Confirm: the view is right"],
  "view.done": ["已记录：画面正常，将按接下来的图片重新学习；结束 {n} 条告警", "Recorded: the view is right and is learnt anew from the next pictures; {n} alerts ended"],
  "view.reason": ["值班台确认画面正常", "The desk says that the view is right"],

  "ack.title": ["确认告警", "Acknowledge"],
  "ack.reason": ["原因", "Reason"],
  "ack.placeholder": ["选择上面的原因，或自己填写", "Choose a reason above or write your own"],
  "ack.submit": ["确认（A）", "Acknowledge (A)"],
  "ack.needReason": ["请先选择或填写原因。", "Choose or write a reason first."],
  "ack.done": ["{by} 已于 {at} 确认：{reason}", "Acknowledged by {by} at {at}: {reason}"],
  "ack.q1": ["已派人到现场", "Somebody is on the way"],
  "ack.q2": ["已查看监控", "Looked at the camera"],
  "ack.q3": ["已电话联系", "Telephoned"],
  "ack.q4": ["维护施工中", "Maintenance work"],

  "dispose.title": ["处置结论", "What it was"],
  "dispose.true": ["属实", "True"],
  "dispose.false": ["误报", "False alarm"],
  "dispose.test": ["测试", "Test"],
  "dispose.duplicate": ["重复", "Duplicate"],
  "dispose.no_action": ["无需处理", "No action"],
  "dispose.placeholder": ["简单说明结论", "Say briefly why"],
  "dispose.submit": ["关闭告警", "Close the alert"],
  "dispose.choose": ["请选择结论并填写说明。", "Choose a conclusion and write a word about it."],
  "dispose.still": ["情况仍在持续：恢复之后才能以“属实”关闭。", "The condition still holds: it can be closed as true once it has cleared."],
  "dispose.done": ["结论：{what}", "Concluded: {what}"],
  "form.cancel": ["取消", "Cancel"],
  "form.sending": ["正在提交…", "Sending…"],
  "form.noScope": ["此令牌只能查看，不能处理告警。", "This token may look at alerts, not handle them."],

  "change.raised": ["告警产生", "Raised"],
  "change.repeated": ["再次发生", "Seen again"],
  "change.reopened": ["重新打开", "Reopened"],
  "change.cleared": ["已恢复", "Cleared"],
  "change.acknowledged": ["已确认", "Acknowledged"],
  "change.disposed": ["已处置", "Concluded"],
  "change.shelved": ["已搁置", "Shelved"],
  "change.unshelved": ["取消搁置", "Taken up again"],
  "change.suppressed": ["已抑制", "Suppressed"],
  "change.released": ["解除抑制", "No longer explained"],
  "change.escalated": ["逐级上报", "Next level told"],
  "change.lapsed": ["无人到场，重新通知", "Nobody on site: told anew"],
  "change.work": ["派单更新", "Case updated"],

  "work.accepted": ["已受理", "Accepted"],
  "work.assigned": ["已指派", "Assigned"],
  "work.claimed": ["已接单", "Claimed"],
  "work.on_site": ["已到场", "On site"],
  "work.resolved": ["已解决", "Resolved"],
  "work.verified": ["已核验", "Verified"],
  "work.rejected": ["已退回", "Rejected"],

  "kind.face_gate": ["人脸门禁", "Face gates"],
  "kind.barrier": ["车辆道闸", "Barriers"],
  "kind.camera": ["摄像机", "Cameras"],
  "kind.light": ["照明", "Lights"],
  "kind.cover": ["井盖", "Manhole covers"],
  "kind.bay": ["车位", "Parking bays"],
  "device.online": ["在线", "Online"],
  "device.offline": ["离线", "Offline"],
  "device.unknown": ["未知", "Unknown"],
  "device.seen": ["最近上报", "Last seen"],
  "device.never": ["从未上报", "Never heard"],
  "device.total": ["{n} 台", "{n}"],
  "device.offlineOf": ["{n} 台离线", "{n} offline"],
  "device.loading": ["正在读取设备…", "Reading the devices…"],
  "device.failed": ["设备读取失败：{why}", "The devices could not be read: {why}"],
  "device.empty": ["还没有登记设备", "No device is registered yet"],
  "device.emptyHint": ["请管理员通过接口登记设备。", "The administrator registers devices through the API."],
  "device.filtered": ["当前筛选下没有设备", "No device matches these filters"],
  "device.more": ["更多", "More"],
  "list.held": ["本机名单 {n}", "Own list {n}"],
  "list.coming": ["待下发 {n}", "{n} to come"],
  "list.removing": ["待删除 {n}", "{n} to be removed"],
  "list.refused": ["被拒 {n}", "{n} refused"],
  "device.noCommands": ["此令牌不能控制设备", "This token may not control devices"],
  "device.isOffline": ["设备离线，不能操作", "The device is offline and cannot be operated"],

  "command.open_passage": ["开门", "Open"],
  "command.open_passage.barrier": ["抬杆", "Raise"],
  "command.close_barrier": ["落杆", "Lower"],
  "command.set_lamp": ["调光", "Set"],
  "command.take_snapshot": ["抓拍", "Snapshot"],
  "command.reboot": ["重启", "Restart"],
  "command.accept_view": ["画面正常", "The view is right"],
  "command.level": ["亮度 {n}%", "Level {n} %"],
  "confirm.open_passage": ["确定打开这道门？", "Open this gate?"],
  "confirm.open_passage.barrier": ["确定抬起这个道闸？", "Raise this barrier?"],
  "confirm.close_barrier": ["确定落下这个道闸？请先确认杆下无人无车。", "Lower this barrier? Make sure nobody and nothing is under the arm."],
  "confirm.take_snapshot": ["让这台设备拍一张现场图片？", "Have this device take a picture now?"],
  "confirm.reboot": ["确定重启这台设备？重启期间它不工作。", "Restart this device? It does not work meanwhile."],
  "confirm.accept_view": ["确定现在的画面就是应有的样子？网关将重新学习，相关的移位、遮挡、失焦和区域变化告警随之结束。", "Is what this camera shows now as it should be? It is learnt anew, and alerts of a moved, covered or defocused view and of changed zones end."],
  "confirm.warn": ["操作会记录在案。", "This is recorded under this desk's name."],
  "confirm.left": ["{s} 秒内确认，否则取消", "Confirm within {s} s or it is cancelled"],
  "confirm.yes": ["确认{what}", "Confirm: {what}"],
  "confirm.cancel": ["取消（Esc）", "Cancel (Esc)"],
  "confirm.close": ["关闭", "Close"],
  "confirm.timeout": ["超过 5 秒未确认，已取消。", "Not confirmed within 5 s: cancelled."],

  "run.sending": ["正在发送…", "Sending…"],
  "run.sent": ["已发送", "Sent"],
  "run.accepted": ["设备已接受", "Accepted by the device"],
  "run.done": ["已完成", "Done"],
  "run.done.open_passage": ["门已打开", "The gate is open"],
  "run.done.open_passage.barrier": ["道闸已抬起", "The arm is up"],
  "run.done.close_barrier": ["道闸已落下", "The arm is down"],
  "run.done.set_lamp": ["亮度已调整", "Level set"],
  "run.done.take_snapshot": ["图片已收到", "The picture has come"],
  "run.done.reboot": ["设备已重启", "The device has restarted"],
  "run.failed": ["失败：{why}", "Failed: {why}"],
  "run.expired": ["无应答", "No answer"],
  "run.done_unverified": ["已接受，未核实", "Accepted, not verified"],
  "run.lost": ["与网关失去联系，结果未知，请到现场确认", "Lost the gateway; the result is unknown, look on the spot"],

  "now.face_gate.open": ["门开着", "Door open"],
  "now.face_gate.closed": ["门关着", "Door closed"],
  "now.barrier.open": ["杆已抬起", "Arm up"],
  "now.light.on": ["亮", "On"],
  "now.light.off": ["灭", "Off"],
  "now.cover.open": ["井盖打开", "Cover open"],
  "now.cover.closed": ["井盖盖好", "Cover closed"],
  "now.bay.taken": ["有车", "Taken"],
  "fact.level_pct": ["亮度", "Level"],
  "fact.distance": ["人脸距离", "Face distance"],
  "fact.threshold": ["人脸阈值", "Face threshold"],
  "fact.dwell_s": ["停留时间", "Stayed"],
  "fact.offset_s": ["时钟偏差", "Clock offset"],
  "fact.tilt_deg": ["倾斜", "Tilt"],
  "fact.plate": ["车牌", "Plate"],
  "fact.reason": ["原因", "Reason"],
  "fact.method": ["方式", "Method"],
  "fact.direction": ["方向", "Direction"],
  "fact.zone": ["区域", "Zone"],
  "fact.label": ["目标", "Object"],
  "fact.listing": ["登记情况", "Register"],
  "fact.repeats": ["重复图像", "Repeats a picture"],
  "fact.found_by": ["发现者", "Found by"],
  "fact.refusals": ["拒绝次数", "Refusals"],
  "fact.window_s": ["统计时段", "Within"],
  "value.unknown": ["未登记", "Not registered"],
  "value.visitor": ["访客", "Visitor"],
  "value.expired": ["已过期", "Expired"],
  "value.block": ["布控", "Blocklisted"],
  "value.allow": ["已登记", "Registered"],
  "value.exact": ["完全相同", "Exactly"],
  "value.near": ["几乎相同", "Nearly"],
  "value.terminal": ["终端", "The terminal"],
  "value.true": ["是", "Yes"],
  "value.false": ["否", "No"],

  "age.now": ["刚刚", "just now"],
  "age.s": ["{n} 秒前", "{n} s ago"],
  "age.m": ["{n} 分钟前", "{n} min ago"],
  "age.h": ["{n} 小时前", "{n} h ago"],
  "age.d": ["{n} 天前", "{n} d ago"],

  "error.network": ["连接不上网关", "the gateway cannot be reached"],
  "error.401": ["令牌已失效", "the token is no longer valid"],
  "error.403": ["此令牌没有权限", "this token has not the right"],
  "error.404": ["记录不存在", "there is no such record"],
  "error.429": ["操作太频繁，请稍候", "too many requests, wait a little"],
  "error.5": ["网关内部错误", "an error inside the gateway"],
};

const STORE = "linli.language";
const listeners = new Set();
let language = localStorage.getItem(STORE) === "en" ? "en" : "zh";

export const lang = () => language;
export const locale = () => (language === "zh" ? "zh-CN" : "en-GB");
export const has = (key) => Object.hasOwn(WORDS, key);

export function t(key, values = {}) {
  const word = has(key) ? WORDS[key][language === "zh" ? 0 : 1] : key;
  return word.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? String(values[name]) : whole));
}

/** The first of the keys that has a word; the bare last one otherwise. */
export const tFirst = (...keys) => t(keys.find(has) ?? keys.at(-1));

/** `{zh, en}` from the gateway, in the reader's language. */
export const pick = (text) => (text ? text[language] || text.zh || text.en || "" : "");

export function onLanguage(listener) {
  listeners.add(listener);
}

export function switchLanguage() {
  language = language === "zh" ? "en" : "zh";
  localStorage.setItem(STORE, language);
  translatePage();
  for (const listener of listeners) listener();
}

/** Writes the static words of the page. */
export function translatePage() {
  document.documentElement.lang = language === "zh" ? "zh-CN" : "en";
  document.title = t("app.name");
  for (const node of document.querySelectorAll("[data-i18n]")) node.textContent = t(node.dataset.i18n);
  for (const node of document.querySelectorAll("[data-i18n-label]")) node.setAttribute("aria-label", t(node.dataset.i18nLabel));
  for (const node of document.querySelectorAll("[data-i18n-placeholder]")) node.placeholder = t(node.dataset.i18nPlaceholder);
}
