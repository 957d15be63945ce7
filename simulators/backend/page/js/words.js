// Every word of the page, Chinese first. `t(key, {name})` fills {name}; a key nobody wrote shows as itself.

const WORDS = {
  "app.name": ["网格治理平台（示例）", "Grid governance (reference)"],
  "lang.other": ["English", "中文"],
  "me.is": ["当前人员：{who}", "Signed in: {who}"],
  "me.out": ["退出登录", "Sign out"],
  "in.title": ["登录", "Sign in"],
  "in.name": ["用户名", "Name"],
  "in.password": ["密码", "Password"],
  "in.do": ["登录", "Sign in"],
  "in.wrong": ["用户名或密码不正确", "Name and password do not belong together"],
  "in.locked": ["尝试次数过多，请 {n} 分钟后再试", "Too many attempts; try again in {n} minutes"],
  "in.nobody": ["尚无用户，请先运行 linli backend user add", "There is no operator yet: run linli backend user add"],
  "list.label": ["工单", "Cases"],
  "detail.label": ["工单详情", "Case"],
  "detail.none": ["请选择一个工单", "Choose a case"],
  "filter.which": ["显示范围", "Which cases"],
  "filter.mine": ["我的", "Mine"],
  "filter.open": ["未关闭", "Open"],
  "filter.all": ["全部", "All"],
  "list.empty": ["没有工单", "No cases"],
  "state.ok": ["与网关连接正常", "The gateway answers"],
  "state.waiting": ["{n} 步待告知网关", "{n} steps to be told to the gateway"],
  "state.trouble": ["网关不可用：{why}", "The gateway cannot be used: {why}"],
  "state.lost": ["与本平台的连接中断，页面可能不是最新", "This page has lost its backend and may be out of date"],
  "account.none": ["尚未收到变更", "No change received yet"],
  "account.whole": ["已收变更 {first}–{last}，共 {have} 条，无缺口", "Changes {first}–{last} received, {have} in all, no gap"],
  "account.gap": ["已收变更 {first}–{last}，缺 {missing} 起，正在补齐", "Changes {first}–{last}: missing from {missing}, catching up"],
  "anew.set_back": ["{at} 发现网关被恢复到备份（本平台已收到变更 {after}）：已重新读取未关闭告警，从变更 {next} 之后继续；网关不再认识的未关闭工单 {unknown} 个，均已保留", "{at}: the gateway was found set back to a backup (changes up to {after} were here). The open alerts were read anew; it goes on after change {next}. Open cases the gateway does not know any more, all kept: {unknown}"],
  "anew.dropped": ["{at} 发现网关已清除变更 {after} 之后的记录（保留期限）：已重新读取未关闭告警，从变更 {next} 之后继续；网关不再认识的未关闭工单 {unknown} 个，均已保留", "{at}: the gateway had dropped what follows change {after} (retention). The open alerts were read anew; it goes on after change {next}. Open cases the gateway does not know any more, all kept: {unknown}"],
  "unknown": ["网关不认识", "unknown to the gateway"],
  "unknown.why": ["网关已不认识此告警（恢复过备份）：工单保留，此后的步骤只记在本平台，核验后结束", "The gateway does not know this alert any more (it was set back to a backup): the case is kept, further steps are noted here alone, and it ends when it is verified"],
  "field.work": ["进度", "Work"],
  "field.assignee": ["负责人", "With"],
  "field.place": ["地点", "Place"],
  "field.device": ["设备", "Device"],
  "field.raised": ["发生时间", "Raised"],
  "field.condition": ["现场状态", "Condition"],
  "field.contact": ["联系方式", "Contact"],
  "condition.active": ["仍在持续", "still holds"],
  "condition.cleared": ["已恢复", "over"],
  "acknowledged": ["值班台已确认", "acknowledged at the desk"],
  "work.none": ["新到", "new"],
  "work.accepted": ["已受理", "accepted"],
  "work.assigned": ["已派单", "dispatched"],
  "work.claimed": ["已认领", "claimed"],
  "work.on_site": ["已到现场", "on site"],
  "work.resolved": ["已处置", "resolved"],
  "work.verified": ["已核验", "verified"],
  "work.rejected": ["已退回", "given back"],
  "do.accepted": ["受理", "Accept"],
  "do.assigned": ["派单", "Dispatch"],
  "do.claimed": ["认领", "Claim"],
  "do.on_site": ["到达现场", "On site"],
  "do.resolved": ["处置完成", "Resolve"],
  "do.verified": ["核验通过", "Verify"],
  "do.rejected": ["退回", "Give back"],
  "act.title": ["操作", "Actions"],
  "act.reason": ["说明", "Reason"],
  "act.to": ["派给", "Dispatch to"],
  "act.need": ["请填写说明", "Say why"],
  "act.done": ["已完成：{what}", "Done: {what}"],
  "act.later": ["网关暂不可用，恢复后自动告知", "The gateway is away; it will be told when it is back"],
  "act.barred": ["您{done}过此工单，须由他人核验", "You have worked on this case ({done}); somebody else has to verify it"],
  "refusal.claimed_already": ["被他人抢先：{who} 已认领", "Somebody was faster: {who} has claimed it already"],
  "refusal.stands_elsewhere": ["被他人抢先：现为“{stands}” {who}", "Somebody was faster: it is {stands} now, {who}"],
  "refusal.not_possible": ["当前进度为“{stands}”，不能这样操作", "Not possible while it is {stands}"],
  "refusal.somebody_else": ["{who} 做过“{stands}”，此步须由他人进行", "{who} did this: {stands}; somebody else has to do this step"],
  "refusal.nobody": ["名册中没有此人", "There is nobody of this name in the roster"],
  "refusal.reason_missing": ["请填写说明", "Say why"],
  "refusal.not_found": ["网关上没有此告警", "The gateway has no such alert"],
  "refusal.unprocessable_entity": ["网关不接受此内容：{text}", "The gateway does not take this: {text}"],
  "refusal.unprocessable_content": ["网关不接受此内容：{text}", "The gateway does not take this: {text}"],
  "refusal.unreachable": ["无法连接", "it cannot be reached"],
  "refusal.unauthorized": ["令牌无效、过期或已撤销", "the token is unknown, expired or revoked"],
  "refusal.forbidden": ["令牌权限不足", "the token lacks a scope"],
  "refusal.conflict": ["名册与网关上的不一致：{text}", "the roster and the gateway differ: {text}"],
  "refusal.service_unavailable": ["网关暂时不能处理", "it cannot answer just now"],
  "refusal.401": ["登录已失效，请重新登录", "You are signed out; sign in again"],
  "refusal.no_gateway": ["未指定网关（--api）", "no gateway was named (--api)"],
  "refusal.not_asked": ["尚未连接", "not asked yet"],
  "refusal.other": ["操作被拒绝：{text}", "Refused: {text}"],
  "history.title": ["经过", "History"],
  "change.raised": ["告警发生", "raised"],
  "change.repeated": ["再次发生", "repeated"],
  "change.reopened": ["重新发生", "came back"],
  "change.cleared": ["已恢复", "over"],
  "change.acknowledged": ["值班台确认", "acknowledged"],
  "change.disposed": ["值班台定性", "disposed"],
  "change.work": ["进度变更", "work"],
  "change.escalated": ["升级", "escalated"],
  "change.dispatched": ["自动派单", "dispatched"],
  "change.unknown": ["网关不再认识此告警", "unknown to the gateway since"],
};

const STORE = "linli.backend.language";
let language = localStorage.getItem(STORE) === "en" ? "en" : "zh";

export const has = (key) => Object.hasOwn(WORDS, key);

export function t(key, values = {}) {
  const word = has(key) ? WORDS[key][language === "zh" ? 0 : 1] : key;
  return word.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? String(values[name]) : whole));
}

/** Why something was refused ({code, who, stands, text}), with the code for who has to look it up. */
export function refusal({ code, who = "", stands = "", text = "" }) {
  const key = has(`refusal.${code}`) ? `refusal.${code}` : "refusal.other";
  const values = { who, text, stands: has(`work.${stands}`) ? t(`work.${stands}`) : stands };
  return `${t(key, values).trim()}${language === "zh" ? `（${code}）` : ` (${code})`}`;
}

/** `{zh, en}` of the gateway, in the reader's language. */
export const pick = (text) => text?.[language] || text?.zh || "";

export const time = (iso) => (iso ? new Date(iso).toLocaleString(language === "zh" ? "zh-CN" : "en-GB") : "");

export function otherLanguage() {
  language = language === "zh" ? "en" : "zh";
  localStorage.setItem(STORE, language);
}

/** Writes the static words of the page. */
export function translate() {
  document.documentElement.lang = language === "zh" ? "zh-CN" : "en";
  document.title = t("app.name");
  for (const node of document.querySelectorAll("[data-i18n]")) node.textContent = t(node.dataset.i18n);
  for (const node of document.querySelectorAll("[data-i18n-label]")) node.setAttribute("aria-label", t(node.dataset.i18nLabel));
}
