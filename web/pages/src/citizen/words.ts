/** The texts of the citizen's page about phones and people: [Chinese, English]. `{}` is replaced by one value. */
export const citizenWords = {
  next_code: ["{} 秒后更换", "New code in {}\u00a0s"],
  code_clock: ["本机时间不对，暂无二维码。\n请校正时间或连接网络。", "This phone's clock is wrong, so there is no code.\nSet it, or connect."],
  code_ended: ["本机保存的二维码已于 {} 到期。\n请连接网络。", "The codes on this phone ended at {}.\nConnect to the network."],
  own_offline: ["无网络连接，由本机出示健康码", "No connection: this phone makes the code itself"],
  own_busy: ["系统繁忙，由本机出示健康码", "The service is busy: this phone makes the code itself"],
  own_age: ["信息截至 {}，非实时", "Information of {}, not live"],
  within_hours: ["{} 小时内", "within {}\u00a0h"],

  this_phone: ["本机", "This phone"],
  phone_until: ["无网络也能出示健康码，至 {}。", "Shows the code without a network until {}."],
  phone_soon: ["无网络只能出示到 {}，请在此之前连接网络。", "Shows the code without a network only until {}: connect before."],
  phone_waiting: ["正在准备离线健康码…", "Getting ready to show the code without a network…"],
  phone_unsaved: [
    "本机存储空间不足：关闭此页面后，健康码需要网络。",
    "The phone's storage is full: once this page is closed, the code needs the network.",
  ],
  phone_clock: ["本机时间相差 {} 分钟，二维码已校正。", "This phone's clock is {} min off. The code has the right time."],
  phone_signed_in: ["登录将于 {} 到期，请提前重新登录。", "Your sign-in ends at {}. Sign in again before."],
  phone_online_only: ["健康码目前需要网络。", "The code needs the network so far."],
  phone_offer: [
    "让本机在无网络时也能出示健康码？请只在自己的手机上这样做。",
    "Have this phone show the code without a network too? Do so on a phone of your own only.",
  ],
  phone_name: ["本机名称", "Name of this phone"],
  phone_keep: ["保存在本机", "Keep on this phone"],
  phone_insecure: [
    "健康码需要网络：此页面未加密（http），浏览器无法保存密钥。",
    "The code needs the network: on a page without encryption (http) browsers keep no keys.",
  ],
  phone_no_storage: [
    "健康码需要网络：此浏览器未能保存密钥（无痕窗口，或存储空间不足）。",
    "The code needs the network: this browser could not keep a key (a private window, or full storage).",
  ],
  phone_full: ["您的手机数量已达上限。请先在下方停用一部。", "You have as many phones as are allowed. End one of them below first."],
  phone_refused: ["暂时无法保存，请稍后再试。", "It could not be kept. Please try again later."],
  phone_ended: [
    "本机已被停用，密钥已删除：可能在其他手机上停用，或数据来自另一部手机的备份。",
    "This phone was ended, from another one or since its data came from a backup. Its keys are deleted.",
  ],

  phones: ["您的手机", "Your phones"],
  phones_of_most: ["最多 {} 部。丢失的手机请停用，其二维码随即失效。", "At most {}. End a lost one: its codes are refused then."],
  phones_unread: ["暂时无法读取，请稍后再试。", "They cannot be read now. Please try again later."],
  phone_here: ["本机", "this phone"],
  phone_since: ["{} 起", "since {}"],
  phone_end: ["停用", "End"],
  phone_end_sure: ["确认停用", "Really end it"],
  phone_end_failed: ["未能停用，请稍后再试。", "It could not be ended. Please try again later."],

  people: ["本机上的人员", "People on this phone"],
  people_add: ["添加一人", "Add a person"],
  people_now: ["当前", "on the screen"],
} as const;
