// Every word of the page, Chinese first. `t(key, {name})` fills {name}; a key nobody wrote shows as itself.

const WORDS = {
  "app.name": ["网格治理平台（示例）", "Grid governance (reference)"],
  "lang.other": ["English", "中文"],
  "me.label": ["当前人员", "Acting as"],
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
  "act.told": ["被他人抢先：{why}", "Somebody was faster: {why}"],
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
};

const STORE = "linli.backend.language";
let language = localStorage.getItem(STORE) === "en" ? "en" : "zh";

export const has = (key) => Object.hasOwn(WORDS, key);

export function t(key, values = {}) {
  const word = has(key) ? WORDS[key][language === "zh" ? 0 : 1] : key;
  return word.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? String(values[name]) : whole));
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
